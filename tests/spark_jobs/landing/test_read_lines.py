"""Lines with more, or less, than one record."""

import json

import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.config.source_toml import FileForm
from spark_jobs.landing.read_records import CORRUPT, SOURCE_FILE, read_records
from tests.spark_jobs.one_shop import ShopFixture

pytestmark = pytest.mark.spark

WHOLE: list[tuple[str, list[str | None]]] = [
    ('{"a": "1"}', ["1"]),
    ('{"a": "1"}{"a": "2"}', ["1", "2"]),
    ('{"a": "1"} , {"a": "2"}\t{"a": "3"}', ["1", "2", "3"]),
    ('[{"a": "1"}, {"a": "2"}]', ["1", "2"]),
    ('[{"a": "1"} {"a": "2"}]', ["1", "2"]),
    ('\ufeff{"a": "1"},', ["1"]),
    ('{"a": "}{"}', ["}{"]),
    ('{"a": {"b": [{"c": 1}, {"c": "}{"}]}}', ['{"b":[{"c":1},{"c":"}{"}]}']),
    ("".join(f'{{"a": {n}}}' for n in range(60)), [str(n) for n in range(60)]),
    ('{"a": ' + "[" * 900 + "]" * 900 + "}", ["[" * 900 + "]" * 900]),
    ("{}", [None]),
]
REFUSED = [
    '{"a": "1"} xyz',
    '{"a": "1"}}',
    '{"a": "1"}] {"a": "2"}',
    '{"a": "1"} {"a": "2',
    '{"a": "1"}, "b": {"a": "2"}',
    '{"a": "1"}{"a": "}{"}',
    '[{"a": "1"}][{"a": "2"}]',
    "[]",
    "null",
    "[1]",
    '{"a": "1"}\x00{"a": "2"}',
    '{"a": ' + "[" * 1100 + "]" * 1100 + "}",
]


def test_json_lines_are_read_or_rejected_as_a_whole(spark: SparkSession, shop: ShopFixture) -> None:
    file = shop.files / "a.json"
    file.write_text("\n".join([line for line, _ in WHOLE] + REFUSED))
    rows = read_records(spark, FileForm(format="json", fields=["a"]), [str(file)], "events").collect()
    assert [row["a"] for row in rows if row[CORRUPT] is None] == [value for _, values in WHOLE for value in values]
    assert [row[CORRUPT] for row in rows if row[CORRUPT] is not None] == REFUSED


def test_column_names_come_from_every_object_of_a_line(spark: SparkSession, shop: ShopFixture) -> None:
    file = shop.files / "a.json"
    file.write_text('{"a": 1}{"b": 2}, {"c": 3}\n[{"d": 4}] {"e"')
    rows = read_records(spark, FileForm(format="json"), [str(file)], "events")
    assert rows.columns == ["a", "b", "c", "d", CORRUPT, SOURCE_FILE]
    assert rows.where(f"{CORRUPT} IS NOT NULL").count() == 1


def test_csv_lines_that_are_read_in_part_are_rejected(spark: SparkSession, shop: ShopFixture) -> None:
    file = shop.files / "a.csv"
    sound = [
        "1,2",
        '1,"x, y"',
        '1,5" pipe',
        '1,"x""y"',
        '1,"\\"x"',
        '1,"x\\\\"',
        '1,"5"" x"',
        '5" x,"abc"',
        '1,"2" ',
        '1,""',
    ]
    refused = ["1", "1,2,3", "1,2,", '1,"x', '1,"x ""y', '1,"x\\"', '"1,2', 'y",2,3', ",".join(["1"] * 30_000)]
    file.write_text("\n".join(["a,b", *sound, *refused]))
    rows = read_records(spark, FileForm(format="csv"), [str(file)], "events").collect()
    assert [row[CORRUPT] for row in rows] == [None] * len(sound) + [line[:10_000] for line in refused]


def test_with_fields_the_first_line_of_a_multi_line_file_is_a_record(spark: SparkSession, shop: ShopFixture) -> None:
    file = shop.files / "a.csv"
    wide = b"9" + b",9" * 30_000
    file.write_bytes(b'1,"x\ny"\n2,\xff\n3,4,5\n' + wide + b'\n6,7\n8,"' + b"9\n" * 600_000 + b'"\n')
    form = FileForm(format="csv", fields=["a", "b"], options={"multiLine": "true"})
    rows = read_records(spark, form, [str(file)], "events").collect()
    assert [row[CORRUPT] is None for row in rows] == [True, False, False, False, True, False]
    assert [row["a"] for row in rows] == ["1", "2", "3", "9", "6", "8"]


def test_an_unclosed_quote_rejects_only_its_own_record(spark: SparkSession, shop: ShopFixture) -> None:
    """Spark by itself includes the records up to the next quote, or to the end of the file, in the open value."""
    file = shop.files / "a.csv"
    pieces = [
        '1,"x\ny"',
        '2,"open',
        "3,x",
        '4,"z"',
        '5,"said ""hi"",\nok"',
        '6,"x\ny",7',
        '"open,7',
        "8,x",
        '9,"open',
        "10,x",
    ]
    file.write_text("\n".join(["a,b", *pieces]) + "\n")
    form = FileForm(format="csv", options={"multiLine": "true", "escape": '"'})
    rows = read_records(spark, form, [str(file)], "events").collect()
    assert [(row["a"], row["b"]) for row in rows if row[CORRUPT] is None] == [
        ("1", "x\ny"),
        ("3", "x"),
        ("4", "z"),
        ("5", 'said "hi",\nok'),
        ("8", "x"),
        ("10", "x"),
    ]
    assert [row[CORRUPT] for row in rows if row[CORRUPT] is not None] == [
        '2,"open',
        "6,x",
        "y,7",
        '"open,7',
        '9,"open',
    ]


FIREHOSE = """
name = "stream"
[events]
path = "stream-{ds}.json"
format = "json"
[events.columns]
ts = "at"
event_type = "kind"
item_id = "item"
user_key = "who"
"""


def test_objects_that_a_stream_joined_are_all_events(shop: ShopFixture, capsys: pytest.CaptureFixture[str]) -> None:
    """Objects as Kinesis Firehose writes them: without line ends between them."""
    event = {"at": "2026-11-20T09:00:00Z", "kind": "view", "who": "ann"}
    events = [json.dumps({**event, "item": f"P{number}"}) for number in range(12)]
    text = "\n".join([events[0], "".join(events[1:5]), f"[{', '.join(events[5:11])}]", f"{events[11]} and more"])
    (shop.files / "stream-2026-11-20.json").write_text(text)
    shop.describe(FIREHOSE).run()
    assert shop.outcomes() == {"rows_in": 12, "event": 11, "corrupt_record": 1}
    assert shop.rows("quarantine")[0]["raw"] == f"{events[11]} and more"
    assert "'rows_read': 12" in capsys.readouterr().out
