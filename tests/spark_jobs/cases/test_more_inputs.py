"""Further inputs of the kinds that public bug reports describe."""

from datetime import date, datetime, timedelta

import pytest

from pipeline_tasks.quality.gate_report import GateError
from pipeline_tasks.sources.sources import SourceError
from tests.spark_jobs.cases.case_run import balanced, land_and_clean, refused, split_published
from tests.spark_jobs.one_shop import CLICKS, DAY, HEADER, ShopFixture

pytestmark = pytest.mark.spark

ONE_FILE = CLICKS.replace("events-{ds}.csv", "all.csv")


def write_log(shop: ShopFixture, lines: list[str]) -> None:
    (shop.files / "all.csv").write_text("\n".join([HEADER, *lines]) + "\n")


def test_one_rejected_row_on_a_day_of_one_row_does_not_stop_the_run(shop: ShopFixture) -> None:
    shop.describe(ONE_FILE)
    days = [DAY - timedelta(days=n) for n in range(40)]
    write_log(shop, [f"{day}T09:00:00Z,view,P{n % 5},u{n % 7},s{n},{'x' * (n == 3)},," for n, day in enumerate(days)])
    report = land_and_clean(shop)
    assert report.critical == []
    assert balanced(shop) == {"rows_in": 40, "event": 39, "unparsable_number": 1}


def order_of_many_lines() -> list[str]:
    """Return one order of 3,100 lines between two thousand purchases, a hundred a day."""
    lines = []
    for n in range(2_000):
        day = DAY - timedelta(days=20 - n // 100)
        lines.append(f"{day}T{8 + n % 12:02d}:{n % 60:02d}:00Z,purchase,P{n % 50:02d},u{n % 80},s{n},2.50,1,")
    at = f"{DAY - timedelta(days=8)}T23:00:00Z"
    return lines + [f"{at},purchase,P{n:04d},wholesale,big,1.00,1," for n in range(3_100)] + [last_view()]


def last_view() -> str:
    return f"{DAY}T09:00:00Z,view,P00,u1,last,,,"


def test_one_order_of_many_lines_leaves_no_part_empty(shop: ShopFixture) -> None:
    shop.describe(ONE_FILE + '[rules]\non = ["exact_duplicates", "positive_quantity"]\n')
    write_log(shop, order_of_many_lines())
    land_and_clean(shop)
    assert balanced(shop) == {"rows_in": 5_101, "event": 5_101}
    _, report = split_published(shop)
    assert report.critical == []
    [cut] = shop.rows("splits")
    assert min(cut[f"{part}_events"] for part in ("train", "validation", "test")) > 0


def test_an_order_rejected_as_a_bots_is_named(shop: ShopFixture) -> None:
    shop.describe(ONE_FILE)
    write_log(shop, order_of_many_lines())
    with pytest.raises(GateError) as failed:
        land_and_clean(shop)
    assert "bots" in str(failed.value)
    assert "wholesale" in str(failed.value)


@pytest.mark.parametrize("encoding", ["windows-1252", "ISO-8859-15", "Shift_JIS", "UTF-8"])
def test_quoted_line_ends_in_any_encoding(shop: ShopFixture, encoding: str) -> None:
    options = f'options = {{ multiLine = "true", encoding = "{encoding}", escape = \'"\' }}\n[events.columns]'
    shop.describe(CLICKS.replace("[events.columns]", options, 1))
    word = {"Shift_JIS": "急須"}.get(encoding, "Café")
    text = f'{HEADER}\n{DAY}T09:00:00Z,search,,ann,s1,,,"two\nlines {word}"\n{DAY}T10:00:00Z,view,P1,ann,s1,,,\n'
    (shop.files / f"events-{DAY}.csv").write_bytes(text.encode(encoding))
    shop.run()
    assert balanced(shop) == {"rows_in": 2, "event": 2}
    assert f"two lines {word}".lower() in {row["query"] for row in shop.rows("events")}


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_named(shop: ShopFixture, encoding: str) -> None:
    shop.describe()
    path = shop.files / f"events-{DAY}.csv"
    path.write_bytes(f"{HEADER}\n{last_view()}\n".encode(encoding))
    with pytest.raises(SourceError) as failed:
        shop.run()
    message = str(failed.value)
    assert str(path) in message
    assert "UTF-16" in message
    assert "\n" not in message


def test_select_gives_the_same_for_days_delivered_together_or_apart(shop: ShopFixture) -> None:
    before = "lag(time) OVER (PARTITION BY who ORDER BY time) AS previous"
    toml = CLICKS.replace("[events.columns]", f'select = ["*", "{before}"]\n[events.columns]', 1)
    toml = toml.replace('query = "words"', 'query = "previous"')
    days = [date(2026, 11, 18), date(2026, 11, 19), DAY]
    for day in days:
        start = datetime(day.year, day.month, day.day, 9)
        lines = [f"{start + timedelta(hours=n):%Y-%m-%dT%H:%M:%SZ},view,P{n},u{n % 2},s1,,," for n in range(4)]
        shop.deliver(*lines, day=day)
    try:
        shop.describe(toml)
        shop.run(DAY, 3)
    except SourceError as error:
        message = str(error)
        assert "select" in message
        return
    together = [(row["ts"], row["query"]) for row in shop.rows("events")]
    shop.describe(toml.replace('name = "clicks"', 'name = "apart"'))
    for day in days:
        shop.run(day, 3)
    assert [(row["ts"], row["query"]) for row in shop.rows("events")] == together
    assert refused(shop) == {}
