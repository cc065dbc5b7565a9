"""Files with the peculiarities of well-known logs, as a shop would deliver them."""

import gzip
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_tasks.quality.rejected_shares import remedy_of
from pipeline_tasks.sources.sources import SourceError
from tests.spark_jobs.one_shop import DAY, ShopFixture

pytestmark = pytest.mark.spark

VIEWS = """
name = "views"
[events]
path = "a*"
format = "csv"
[events.columns]
ts = "time"
event_type = "'view'"
item_id = "item"
user_key = "who"
"""
LINES = "time,item,who\n2026-11-20,P1,ann\n"


def views(shop: ShopFixture, *keys: str, **changes: str) -> ShopFixture:
    """Describe the shop by VIEWS, with further keys under [events] and other values."""
    toml = VIEWS.replace("[events.columns]", "\n".join((*keys, "[events.columns]")))
    for name, value in changes.items():
        toml = "\n".join(f"{name} = {value}" if line.startswith(f"{name} =") else line for line in toml.splitlines())
    return shop.describe(toml)


def seen(shop: ShopFixture) -> list[tuple[str, str]]:
    """Run over the whole log and return the users and the items that they viewed."""
    shop.run(window_days=0)
    return [(row["user_key"], row["item_id"]) for row in shop.rows("events", "user_key", "item_id")]


def write(shop: ShopFixture, name: str, content: str | bytes) -> Path:
    path = shop.files / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_windows_1252_in_the_header_too(shop: ShopFixture) -> None:
    write(shop, "a.csv", "time,item,who,Größe\n2026-11-20,P€,änn,1\n".encode("cp1252"))
    assert seen(views(shop, 'options = { encoding = "windows-1252" }')) == [("änn", "P€")]
    assert shop.outcomes() == {"rows_in": 1, "event": 1}, "the header is no record"


def test_an_invalid_byte_of_the_encoding_is_one_rejected_record(shop: ShopFixture) -> None:
    write(shop, "a.csv", LINES.encode() + b"2026-11-20,P\x81,bob\n")
    assert seen(views(shop, 'options = { encoding = "windows-1252" }')) == [("ann", "P1")]
    assert shop.outcomes() == {"rows_in": 2, "event": 1, "corrupt_record": 1}


def test_an_unknown_encoding_is_one_clear_error(shop: ShopFixture) -> None:
    write(shop, "a.csv", LINES)
    with pytest.raises(SourceError, match="encoding = 'cp9999' is unknown: correct"):
        views(shop, 'options = { encoding = "cp9999" }').land(window_days=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04 and so on", "a.csv is a zip archive .*: unpack it"),
        (gzip.compress(LINES.encode(), mtime=0), "a.csv is compressed by gzip, but its name does not end in .gz"),
        (LINES.encode("utf-16"), "a.csv is UTF-16: save it as UTF-8"),
        ("Größe\n1\n".encode("cp1252"), "a.csv: its header 'Gr..e' is not UTF-8: set its encoding with options"),
    ],
)
def test_a_binary_file_is_recognized_by_its_first_bytes(shop: ShopFixture, content: bytes, message: str) -> None:
    write(shop, "a.csv", content)
    with pytest.raises(SourceError, match=message):
        views(shop).land(window_days=0)


def test_two_headers_under_one_file_name_are_kept_apart(shop: ShopFixture) -> None:
    write(shop, "a1/part.csv", LINES)
    write(shop, "a2/part.csv", "who,item,time\nbob,P2,2026-11-20\n")
    assert seen(views(shop, path='"*/part.csv"')) == [("ann", "P1"), ("bob", "P2")]
    assert shop.outcomes() == {"rows_in": 2, "event": 2}


def test_a_repeated_column_gets_a_number(shop: ShopFixture) -> None:
    write(shop, "a.csv", ",time,item,Who,who\n0,2026-11-20,P1,ann,bob\n")
    assert seen(views(shop, user_key='"who_2"')) == [("bob", "P1")]


def test_the_remedy_for_json_fields_that_differ_by_case_works(shop: ShopFixture) -> None:
    write(shop, "a.json", '{"time": "2026-11-20", "item": "P1", "who": "ann", "Who": "bob"}\n')
    with pytest.raises(SourceError, match=r"has the fields who and Who, .* name those to read with fields = \[...\]"):
        views(shop, format='"json"').land(window_days=0)
    assert seen(views(shop, 'fields = ["time", "item", "who"]', format='"json"')) == [("ann", "P1")]


def test_json_of_several_files_has_the_fields_of_all(shop: ShopFixture) -> None:
    line = '{"time": "2026-11-20", "item": "P1"'
    write(shop, "a1.json", f'{line}, "who": "ann", "text": "one\u2028two"}}\n')
    write(shop, "a2.json", f"{line}}}\n")
    assert sorted(seen(views(shop, format='"json"')), key=str) == [("ann", "P1"), (None, "P1")]


@pytest.mark.parametrize("name", ["_ts", "_row"])
def test_the_remedy_for_a_column_that_landing_adds_works(shop: ShopFixture, name: str) -> None:
    write(shop, "a.csv", LINES.replace("who", name))
    rename = f'select = ["* EXCEPT ({name})", "{name} AS {name.strip("_")}_"]'
    with pytest.raises(SourceError) as failed:
        views(shop).land(window_days=0)
    assert f"rename it with {rename} in [events]" in str(failed.value)
    assert seen(views(shop, rename, user_key=f'"{name.strip("_")}_"')) == [("ann", "P1")]


@pytest.mark.parametrize(("separator", "quote"), [("\\t", '"'), ("\\\\t", '"'), ("::", '"'), ("|", "")])
def test_separators_and_quotes_of_spark_are_supported(shop: ShopFixture, separator: str, quote: str) -> None:
    inside = {"::": "::", "|": "|"}.get(separator, "\t")
    item = "P1" if quote else '"P1'
    write(shop, "a.tsv", LINES.replace("P1", item).replace(",", inside))
    toml = f"options = {{ sep = \"{separator}\", quote = '{quote}' }}"
    assert seen(views(shop, toml)) == [("ann", item)]


@pytest.mark.parametrize("select", [(), ('select = ["*", "split_part(_source_file, \'/\', -2) AS who"]',)])
def test_an_expression_can_read_the_path(shop: ShopFixture, select: tuple[str, ...]) -> None:
    write(shop, "country=de/a.csv", "time,item\n2026-11-20,P1\n")
    key = '"who"' if select else "\"split_part(_source_file, '/', -2)\""
    assert seen(views(shop, *select, path='"*/a.csv"', user_key=key)) == [("country=de", "P1")]


def test_parquet_with_times_in_nanoseconds(shop: ShopFixture) -> None:
    when = datetime(2026, 11, 20, 9, 0, 0, 5)
    table = pa.table({"time": pa.array([when], pa.timestamp("ns")), "at": [7], "item": ["P1"], "who": ["ann"]})
    pq.write_table(table, shop.files / "a.parquet")
    assert seen(views(shop, format='"parquet"')) == [("ann", "P1")]
    assert shop.rows("events")[0]["ts"].replace(tzinfo=None) == when


def test_a_run_after_the_log_names_its_last_day(shop: ShopFixture) -> None:
    write(shop, "a.csv", LINES.replace("2026-11-20", "2026-11-18"))
    views(shop).land(window_days=0)
    with pytest.raises(ValueError, match=r"the last day that has some is 2026-11-18 \(--date 2026-11-18\); else land"):
        shop.clean(window_days=0)


def test_a_run_before_the_log_names_the_days_of_the_file(shop: ShopFixture) -> None:
    write(shop, "a.csv", LINES)
    with pytest.raises(SourceError, match=r"the days of the file are 2026-11-20 to .* timestamp_millis"):
        views(shop).land(date(2026, 11, 18), 0)


def test_the_error_for_a_wrong_unit_names_the_functions(shop: ShopFixture) -> None:
    write(shop, "a.csv", LINES.replace("2026-11-20", "1795165200000"))
    views(shop, ts='"timestamp_seconds(bigint(time))"').run(window_days=0)
    [refused] = shop.rows("quarantine")
    assert refused["rule"] == "unparsable_time"
    assert "timestamp_millis" in remedy_of(refused["rule"])


def test_records_after_the_run_are_counted(shop: ShopFixture, capsys: pytest.CaptureFixture[str]) -> None:
    write(shop, "a.csv", LINES + LINES.splitlines()[1].replace("20,", "22,") + "\n")
    assert seen(views(shop)) == [("ann", "P1")]
    assert "'after_run_date': 1, 'first_day': '2026-11-20', 'last_day': '2026-11-22'" in capsys.readouterr().out
    shop.run(date(2026, 11, 22), 0)
    assert {row["ds"] for row in shop.rows("events")} == {DAY, date(2026, 11, 22)}


def test_an_invalid_attribute_is_named_by_its_key(shop: ShopFixture) -> None:
    write(shop, "a.csv", LINES)
    shop.describe(f'{VIEWS}[items.columns]\nitem_id = "item"\n[items.attributes]\nsize = "format"\n')
    shop.land(window_days=0)
    with pytest.raises(SourceError, match=r"items\.attributes\.size = 'format' does not fit the files"):
        shop.clean(window_days=0)


@pytest.mark.parametrize(
    ("encoding", "who"),
    [
        ("GB18030", "张三"),
        ("Big5", "許功蓋"),
        ("Shift_JIS", "表ソ"),
        ("UTF-16", "ä"),
        ("UTF-16LE", "ä"),
        ("cp1252", "€"),
    ],
)
def test_encodings_work_with_values_of_several_lines(shop: ShopFixture, encoding: str, who: str) -> None:
    write(
        shop,
        "a.csv",
        f'time,item,who,name\n2026-11-20,P1,{who},"{who}\n{who}"\n2026-11-20,P2,{who},\n'.encode(encoding),
    )
    options = f'options = {{ encoding = "{encoding}", multiLine = "true" }}'
    assert seen(views(shop, options)) == [(who, "P1"), (who, "P2")]


@pytest.mark.parametrize(
    ("encoding", "who"), [("GB18030", "张三"), ("Big5", "許功蓋"), ("cp932", "表ソ"), ("UTF-16", "ä")]
)
def test_encodings_are_read_by_lines(shop: ShopFixture, encoding: str, who: str) -> None:
    write(shop, "a.csv", f"time,item,who\r\n2026-11-20,P1,{who}\r\n2026-11-20,P2,bob\r\n".encode(encoding))
    assert set(seen(views(shop, f'options = {{ encoding = "{encoding}" }}'))) == {(who, "P1"), ("bob", "P2")}


@pytest.mark.parametrize(("encoding", "fields"), [("utf-16-le", ""), ("utf-16-be", 'fields = ["time", "item", "who"]')])
def test_utf_16_without_a_mark_is_recognized(shop: ShopFixture, encoding: str, fields: str) -> None:
    write(shop, "a.csv", LINES.encode(encoding))
    name = encoding.upper().replace("-LE", "LE").replace("-BE", "BE")
    with pytest.raises(SourceError, match=rf'a\.csv is UTF-16 without a mark: save it as UTF-8, .*encoding = "{name}"'):
        views(shop, fields).land(window_days=0)
    assert seen(views(shop, f'options = {{ encoding = "{name}" }}', fields)) == [("ann", "P1")]


def test_the_separator_line_of_excel_is_no_header(shop: ShopFixture) -> None:
    write(shop, "a.csv", "\ufeffsep=;\ntime;item;who\n2026-11-20;P1;ann\n")
    with pytest.raises(
        SourceError, match=r"a\.csv: its first line 'sep=;' is no header, .*remove it .*fields = \[\.\.\.\]"
    ):
        views(shop).land(window_days=0)
    keys = ('options = { sep = ";" }', 'fields = ["time", "item", "who"]', "where = \"time LIKE '2%'\"")
    assert seen(views(shop, *keys)) == [("ann", "P1")]


def test_a_value_of_two_lines_without_multi_line_is_rejected(shop: ShopFixture) -> None:
    write(shop, "a.csv", f'{LINES}2026-11-20,P2,"bo\nb"\n')
    assert seen(views(shop)) == [("ann", "P1")]
    assert shop.outcomes() == {"rows_in": 3, "event": 1, "corrupt_record": 2}
