"""Files and folders of any name are read and have their day, and quarantine names an existing path."""

from datetime import date
from pathlib import Path

import pytest

from pipeline_tasks.sources.sources import SourceError
from tests.spark_jobs.one_shop import CLICKS, DAY, HEADER, ShopFixture

pytestmark = pytest.mark.spark

NAMES = [
    *("Bestellungen Webshop {ds}.csv", "订单-{ds}.csv", "export [shop 1] {ds}.csv", "100%-{ds}.csv", "a%20b {ds}.csv"),
    *("a#b?{ds}.csv", 'it\'s "{ds}".csv', "a,b;{ds}.csv", "a+b&{ds}=.csv", "two\nlines {ds}.csv", "a*b{ds}{{1}}.csv"),
    *("Gro\u0308ße {ds}.csv", "back\\slash{ds}.csv", "12:30 {ds}.csv", "Ordner [2] 100%/ {ds} .csv", "_x={ds}.csv"),
]


def lines(day: date, item: str) -> str:
    rows = (f"{day}T09:00:00Z,view,{item},ann,s1,,,", f"{day}T09:01:00Z,view,{item},ann,s1,cheap,,")
    return "\n".join((HEADER, *rows)) + "\n"


def test_files_of_any_name_are_read_and_reported(shop: ShopFixture) -> None:
    other = date(2026, 11, 19)
    written = [shop.files / name.replace("{ds}", str(day)) for name in NAMES for day in (other, DAY)]
    for number, path in enumerate(written):
        path.parent.mkdir(exist_ok=True)
        path.write_text(lines(DAY if str(DAY) in path.name else other, f"P{number}"))
    shop.describe(CLICKS.replace("events-{ds}.csv", "*{ds}*")).run(window_days=2)
    assert {row["item_id"] for row in shop.rows("events")} == {f"P{number}" for number in range(len(written))}
    refused = shop.rows("quarantine")
    assert {row["rule"] for row in refused} == {"unparsable_number"}
    assert sorted(row["source_file"] for row in refused) == sorted(map(str, written))
    assert shop.outcomes(other) == shop.outcomes(DAY) == {"rows_in": 32, "event": 16, "unparsable_number": 16}


@pytest.mark.parametrize(
    "path", ["export [shop 1] {ds}.csv", "export *[[]shop 1] {ds}.csv", "export ?[a-s]hop 1] {ds}.csv"]
)
def test_brackets_in_a_path_are_literal_or_a_pattern(shop: ShopFixture, path: str) -> None:
    (shop.files / f"export [shop 1] {DAY}.csv").write_text(lines(DAY, "P1"))
    shop.describe(CLICKS.replace("events-{ds}.csv", path)).run()
    assert shop.outcomes() == {"rows_in": 2, "event": 1, "unparsable_number": 1}


def test_files_that_spark_hides_are_skipped_by_a_star_and_rejected_by_name(shop: ShopFixture) -> None:
    folder = shop.files / f"ds={DAY}"
    folder.mkdir()
    for name in ("part-0.csv", "_SUCCESS", ".part-0.csv.crc", "_events.csv"):
        Path(folder / name).write_text(lines(DAY, name))
    shop.describe(CLICKS.replace("events-{ds}.csv", "ds={ds}/*")).run()
    assert [row["item_id"] for row in shop.rows("events")] == ["part-0.csv"]
    with pytest.raises(SourceError, match=r"_events\.csv: Spark reads no file whose name begins with '_': rename it"):
        shop.describe(CLICKS.replace("events-{ds}.csv", "ds={ds}/_events.csv")).land()
