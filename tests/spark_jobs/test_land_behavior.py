import gzip
from datetime import date, timedelta

import pytest

from pipeline_tasks.sources.sources import SourceError
from tests.spark_jobs.one_shop import CATALOG, CLICKS, DAY, HEADER, ShopFixture

pytestmark = pytest.mark.spark

VIEW = "2026-11-20T09:00:00Z,view,P1,ann,s1,,,"


def test_a_missing_file_names_itself_and_where_to_get_it(shop: ShopFixture) -> None:
    shop.describe()
    with pytest.raises(FileNotFoundError) as failed:
        shop.land()
    assert f"No events of clicks for 2026-11-20: no file fits {shop.files}/events-2026-11-20.csv" in str(failed.value)
    assert "Where to get it: ask the web team" in str(failed.value)


def test_a_missing_catalog_without_where_to_get_is_one_clear_error(shop: ShopFixture) -> None:
    shop.describe("\n".join(line for line in (CLICKS + CATALOG).splitlines() if not line.startswith("get =")))
    shop.deliver(VIEW)
    with pytest.raises(
        FileNotFoundError, match=r"No items of clicks .*Where to get it: the TOML does not name it \(get ="
    ):
        shop.land()


def test_an_unmapped_column_error_names_the_key_and_the_columns(shop: ShopFixture) -> None:
    shop.describe(CLICKS.replace('"who"', '"customer"'))
    shop.deliver(VIEW)
    shop.land()
    with pytest.raises(SourceError) as failed:
        shop.clean()
    message = str(failed.value)
    assert "events.columns.user_key = 'customer' does not fit the files" in message
    assert "The files have the columns time, kind, item, who, visit, price, units, words" in message
    assert message.endswith("correct events.columns.user_key in the source's TOML")


def test_a_time_in_seconds_is_not_guessed(shop: ShopFixture) -> None:
    shop.describe(CLICKS.replace('ts = "time"', 'ts = "CAST(time AS BIGINT)"'))
    shop.deliver(VIEW)
    with pytest.raises(SourceError, match=r"events.columns.ts yields bigint, not a time: wrap it in timestamp_seconds"):
        shop.land()


def test_where_leaves_out_a_row_with_text_instead_of_a_number(
    shop: ShopFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.describe(CLICKS.replace("[events]\n", '[events]\nwhere = "units > 0"\n', 1))
    lines = [f"2026-11-20T09:00:00Z,purchase,P1,ann,s1,1,{units}," for units in ("2", "two", "0", "")]
    shop.deliver(*lines)
    shop.run()
    assert shop.outcomes() == {"rows_in": 1, "event": 1}
    assert "'rows_read': 4, 'left_out_by_where': 3" in capsys.readouterr().out


def test_an_empty_day_is_one_clear_error_and_the_day_before_stays(shop: ShopFixture) -> None:
    before = date(2026, 11, 19)
    shop.deliver("2026-11-19T09:00:00Z,view,P1,ann,s1,,,", day=before)
    shop.run(before)
    kept = shop.rows("events")
    shop.deliver()
    shop.land()
    with pytest.raises(ValueError, match="No events for 2026-11-20"):
        shop.clean()
    (shop.files / "events-2026-11-20.csv").write_text("")
    with pytest.raises(SourceError, match=r"events-2026-11-20.csv: empty, not even a header line: deliver it again"):
        shop.land()
    assert shop.rows("events") == kept


def test_a_line_of_100_megabytes_is_one_rejected_record(shop: ShopFixture) -> None:
    shop.describe()
    with (shop.files / f"events-{DAY}.csv").open("w") as file:
        file.write(f"{HEADER}\n{VIEW}\n2026-11-20T09:00:00Z,view,")
        for _ in range(100):
            file.write("x" * 1_000_000)
        file.write(f"\n{VIEW.replace('P1', 'P2')}\n")
    shop.run()
    assert shop.outcomes() == {"rows_in": 3, "event": 2, "corrupt_record": 1}
    raw = shop.rows("quarantine")[0]["raw"]
    assert len(raw) == 10_000
    assert raw.startswith("2026-11-20T09:00:00Z,view,xxx")


def test_a_truncated_gzip_names_the_file_and_lands_nothing(shop: ShopFixture) -> None:
    shop.describe(CLICKS.replace(".csv", ".csv.gz"))
    path = shop.files / f"events-{DAY}.csv.gz"
    lines = [f"2026-11-20T09:00:00Z,view,P{n},ann,s{n * 7919 % 9973},{n},," for n in range(50_000)]
    whole = gzip.compress("\n".join([HEADER, *lines]).encode())
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError) as failed:
        shop.land()
    assert str(path) in str(failed.value)
    assert "it is cut off or damaged; deliver it again" in str(failed.value)
    path.write_bytes(whole)
    shop.land()
    assert shop.clean(rules="exact_duplicates").tables["events"].rows == 50_000


def test_bytes_that_are_not_utf8_are_one_rejected_record(shop: ShopFixture) -> None:
    shop.describe()
    content = f"{HEADER}\n{VIEW}\n".encode() + b"2026-11-20T09:00:00Z,view,P\xff\xfe2,ann,s1,,,\n"
    (shop.files / f"events-{DAY}.csv").write_bytes(content)
    shop.run()
    assert shop.outcomes() == {"rows_in": 2, "event": 1, "corrupt_record": 1}
    assert "view,P�" in shop.rows("quarantine")[0]["raw"]


def test_an_encoding_can_be_declared(shop: ShopFixture) -> None:
    shop.describe(CLICKS.replace("[events.columns]", '[events.options]\nencoding = "ISO-8859-1"\n[events.columns]'))
    content = f"{HEADER}\n2026-11-20T09:00:00Z,search,,ann,s1,,,Café\n".encode("latin-1")
    (shop.files / f"events-{DAY}.csv").write_bytes(content)
    shop.run()
    assert [row["query"] for row in shop.rows("events")] == ["café"]


def test_columns_may_come_in_another_order_on_another_day(shop: ShopFixture) -> None:
    before = date(2026, 11, 19)
    shop.deliver("ann,2026-11-19T09:00:00Z,view,P1", day=before, header="who,time,kind,item")
    shop.deliver(VIEW.replace("P1", "P2"))
    shop.run(window_days=2)
    assert {(row["item_id"], row["user_key"]) for row in shop.rows("events")} == {("P1", "ann"), ("P2", "ann")}


JSON = """
name = "clicks"
[events]
path = "log/ds={ds}/*.jsonl"
format = "json"
where = "type <> 'heartbeat'"
[events.columns]
ts = "timestamp_millis(CAST(at AS BIGINT))"
event_type = "type"
item_id = "get_json_object(product, '$.id')"
user_key = "user"
"""


def test_json_lines_of_several_files(shop: ShopFixture) -> None:
    shop.describe(JSON)
    folder = shop.files / "log" / f"ds={DAY}"
    folder.mkdir(parents=True)
    at = 1_795_165_200_000
    (folder / "a.jsonl").write_text(
        f'{{"at": {at}, "type": "view", "product": {{"id": "P1"}}, "user": 7}}\n'
        f'{{"at": {at}, "type": "heartbeat"}}\n\n{{"at": {at}, "ty\n'
    )
    (folder / "b.jsonl").write_text(f'{{"at": {at + 5000}, "type": "view", "product": {{"id": "P2"}}, "user": 8}}\n')
    shop.run()
    assert {(row["item_id"], row["user_key"]) for row in shop.rows("events")} == {("P1", "7"), ("P2", "8")}
    assert shop.outcomes() == {"rows_in": 3, "event": 2, "corrupt_record": 1}


def test_the_remedy_for_a_reserved_column_name_works(shop: ShopFixture) -> None:
    shop.describe()
    header = HEADER.replace("words", "ds")
    shop.deliver(VIEW, header=header)
    with pytest.raises(SourceError, match=r'rename it with select = \["\* EXCEPT \(ds\)", "ds AS ds_"\] in \[events\]'):
        shop.land()
    toml = CLICKS.replace('query = "words"', "").replace(
        "[events]\n", '[events]\nselect = ["* EXCEPT (ds)", "ds AS ds_"]\n', 1
    )
    shop.describe(toml)
    shop.run()
    assert shop.outcomes() == {"rows_in": 1, "event": 1}


def test_one_growing_file_lands_only_what_is_new(shop: ShopFixture, capsys: pytest.CaptureFixture[str]) -> None:
    shop.describe(CLICKS.replace("events-{ds}.csv", "all.csv"))
    before = date(2026, 11, 19)
    first = [HEADER, VIEW.replace("-20T", "-19T"), "yesterday,view,P1,ann,s1,,,"]
    (shop.files / "all.csv").write_text("\n".join(first) + "\n")
    shop.run(before, window_days=2)
    assert shop.outcomes() == {"rows_in": 2, "event": 1, "unparsable_time": 1}
    capsys.readouterr()
    shop.land(before, window_days=2)
    assert "the file is unchanged" in capsys.readouterr().out
    (shop.files / "all.csv").write_text("\n".join([*first, VIEW]) + "\n")
    manifest = shop.run(window_days=2)
    assert DAY in manifest.tables["events"].days
    assert shop.outcomes() == {"rows_in": 3, "event": 2, "unparsable_time": 1}, "an undated record is reported once"


def test_without_a_window_a_file_of_many_days_is_the_whole_log(
    shop: ShopFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.describe(CLICKS.replace("events-{ds}.csv", "all.csv"))
    old, before = date(2025, 1, 3), date(2026, 11, 19)
    lines = [VIEW.replace("2026-11-20", str(day)) for day in (old, before, DAY, date(2026, 11, 21))]
    (shop.files / "all.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    shop.land(before, 2)
    manifest = shop.run(before, 0)
    days = (before - old).days + 1
    assert manifest.facts["window_days"] == str(days)
    assert {row["ds"] for row in shop.rows("events")} == {old, before}, "what was landed with a window is not all"
    capsys.readouterr()
    shop.land(before, 0)
    assert "the file is unchanged" in capsys.readouterr().out
    assert shop.run(DAY, 0).facts["window_days"] == str(days + 1)
    assert {row["ds"] for row in shop.rows("events")} == {old, before, DAY}


def test_without_a_window_dated_files_are_those_of_thirty_days(shop: ShopFixture) -> None:
    shop.describe()
    for day in (DAY - timedelta(days=30), DAY - timedelta(days=29), DAY):
        shop.deliver(VIEW.replace("2026-11-20", str(day)), day=day)
    assert shop.run(window_days=0).facts["window_days"] == "30"
    assert len(shop.rows("events")) == 2
