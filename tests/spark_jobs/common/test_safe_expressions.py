"""Expressions of a mapping name columns of the file, call allowed functions, and do not read the clock."""

import re

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.sources.sources import SourceError
from spark_jobs.common.expression_functions import ALLOWED, TOLERANT
from spark_jobs.common.safe_expressions import safe_expression
from spark_jobs.common.sql_expressions import evaluate

COLUMNS = ["time", "kind", "item", "date", "user id", "at"]
UNMAPPED = ("user", "`user`", "USER", "current_date", "current_timestamp", "session_user", "current_user", "ds", "_row")
REFUSED = {
    "user()": "depends on the time or the machine",
    "CURRENT_DATE()": "depends on the time or the machine",
    "localtimestamp()": "depends on the time or the machine",
    "current_timezone()": "depends on the time or the machine",
    "now()": "depends on the time or the machine",
    "rand()": "depends on the time or the machine",
    "uuid()": "depends on the time or the machine",
    "shuffle(split(item, ','))": "depends on the time or the machine",
    "input_file_name()": "depends on the time or the machine",
    "unix_timestamp()": "it returns the time of the run",
    "TIMESTAMP 'now'": "another time on another day",
    "TIMESTAMP '09:12'": "another time on another day",
    "to_date('today')": "another time on another day",
    "'tomorrow'::date": "another time on another day",
    "reflect('java.lang.System', 'getenv', 'HOME')": "outside of the file",
    "`reflect`('java.lang.System', 'getenv', 'HOME')": "outside of the file",
    "Try_Reflect ('java.lang.System', 'getenv', 'HOME')": "outside of the file",
    "java_method('java.lang.System', 'getenv', 'HOME')": "outside of the file",
    "system.builtin.reflect('java.lang.System', 'getenv', 'HOME')": "called by their bare names",
    "identifier('user')": "outside of the file",
    "$$'$$ || reflect('java.lang.System', 'getenv', 'HOME') || $$'$$": r"'\$' has no place",
    "item -- '\n || reflect('java.lang.System', 'getenv', 'HOME')": "comment",
    "item /* ' */ || user()": "comment",
    "(SELECT max(ds) FROM events)": "begins a query",
    "EXISTS (SELECT 1)": "begins a query",
    "item IN (TABLE events)": "begins a query",
    "(FROM events |> AGGREGATE max(ds))": "has no place|begins a query",
    "(MAP item USING 'env')": "begins a query",
    "read_files('/etc/passwd')": "not among the functions",
    "current_setting('x')": "not among the functions",
    "raise_error(item)": "one bad value would end the job",
    "xpath_string(item, 'a')": "one bad value would end the job",
    "'open": "quote is never closed",
}
SOUND = (
    "concat_ws(' ', date, time)",
    "CASE WHEN kind LIKE 'user%' THEN 'reflect(now())' END",
    "transform(split(item, '|'), x -> trim(x))[0]",
    "from_json(item, 'struct<user:string>').user",
    "`user id`",
    "kind IN ('a', 'b') AND at >= 1 AND at <> 2",
    "CAST(at AS DECIMAL(10, 2))",
    "EXTRACT(DAY FROM CAST(time AS DATE))",
    "'it''s' || \"x\" || r'\\d'",
)


@pytest.mark.parametrize("expression", UNMAPPED)
def test_a_name_with_a_meaning_to_spark_is_no_column(expression: str) -> None:
    with pytest.raises(SourceError, match=r"^k = .* does not fit the files: they have no column .*time, kind, item"):
        safe_expression(expression, COLUMNS, "k")


@pytest.mark.parametrize("name", ["user", "current_date", "current_timestamp", "version"])
def test_a_column_with_such_a_name_is_read(name: str) -> None:
    assert safe_expression(f"upper({name}) || `{name}`", [*COLUMNS, name.upper()], "k") == f"upper({name}) || `{name}`"


@pytest.mark.parametrize("expression", REFUSED)
def test_a_forbidden_expression_is_one_clear_error(expression: str) -> None:
    with pytest.raises(SourceError, match=REFUSED[expression]) as failed:
        safe_expression(expression, COLUMNS, "events.columns.ts")
    assert str(failed.value).startswith(f"events.columns.ts = {expression!r}")


@pytest.mark.parametrize("expression", SOUND)
def test_a_safe_expression_is_unchanged(expression: str) -> None:
    without_blanks = re.sub(r"\s", "", safe_expression(expression, COLUMNS, "k"))
    assert without_blanks.lower() == re.sub(r"\s", "", expression).lower()


@pytest.mark.spark
def test_spark_has_every_allowed_function(spark: SparkSession) -> None:
    known = {row[0] for row in spark.sql("SHOW SYSTEM FUNCTIONS").collect()}
    syntax = {"overlay", "timestampadd", "timestampdiff", "try_cast"}
    assert ALLOWED - known <= syntax
    assert set(TOLERANT) | set(TOLERANT.values()) <= ALLOWED


@pytest.mark.spark
def test_missing_columns_and_variables_are_not_replaced(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = spark.createDataFrame([("P1", "me")], "item string, user string")
    found = evaluate(rows, {"a": "user", "b": "'${env:PATH}${spark.app.name}'"}, ["item"], "k").first()
    assert found is not None
    assert tuple(found) == ("P1", "me", "${env:PATH}${spark.app.name}")
    with pytest.raises(SourceError, match=r"^k\.user_key = 'item_id' does not fit the files: .*item, user"):
        evaluate(rows, {"item_id": "item", "user_key": "item_id"}, [], "k")


NO_TIME = {
    "time-only": (
        "09:12:33",
        "T09:12",
        "12:00",
        " 9:12",
        "T9",
        "09:12:33-08:00",
        "9:12-8-05",
        "2026",
        "2026-11",
        "2026-11-",
    ),
    "words": ("now", "today", "yesterday", "tomorrow", "epoch", "noon"),
}
TIME_EXPRESSIONS = (
    "to_timestamp(t)",
    "timestamp(t)",
    "CAST(t AS TIMESTAMP)",
    "try_cast(t AS timestamp)",
    "t::timestamp",
    "trim(t) :: TIMESTAMP",
    "to_utc_timestamp(t, 'America/Los_Angeles')",
    "from_utc_timestamp(concat_ws(' ', NULL, t), 'Europe/Berlin')",
    "t + INTERVAL 1 HOUR",
    "lower(t) - make_dt_interval(0, 1)",
    "timestampadd(HOUR, 1, t)",
    "date_trunc('HOUR', t)",
)


@pytest.mark.spark
def test_a_text_without_a_whole_date_is_no_time_in_any_expression(spark: SparkSession) -> None:
    texts = [text for group in NO_TIME.values() for text in group]
    rows = spark.createDataFrame([(text,) for text in [*texts, "2026-11-20 09:12:33"]], "t string")
    expressions = {f"e{place}": text for place, text in enumerate(TIME_EXPRESSIONS)}
    found = {row["t"]: row[1:] for row in evaluate(rows, expressions, ["t"], "k").collect()}
    assert {text: found[text] for text in texts} == dict.fromkeys(texts, (None,) * len(TIME_EXPRESSIONS))
    assert None not in found["2026-11-20 09:12:33"]


TOO_LARGE = (
    "9223372036854775807",
    "-9223372036854775808",
    "1763600000000000000",
    "1763600000000000",
    "99999999999999999999",
)


@pytest.mark.spark
def test_an_epoch_outside_of_the_calendar_is_null(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(text,) for text in [*TOO_LARGE, "1763600000"]], "n string")
    expressions = {
        "seconds": "timestamp_seconds(bigint(n))",
        "decimals": "timestamp_seconds(CAST(n AS DECIMAL(38, 3)) * 1000)",
        "millis": "timestamp_millis(bigint(n) * 1000)",
        "micros": "timestamp_micros(bigint(n) * 1000000)",
        "in_a_case": "CASE WHEN n LIKE '9%' THEN timestamp_millis(bigint(n)) ELSE timestamp_seconds(bigint(n)) END",
    }
    found = {row["n"]: row for row in evaluate(rows, expressions, ["n"], "k").collect()}
    years = {value.year for row in found.values() for value in row[1:] if value is not None}
    assert years <= set(range(1, 10_000))
    assert [found[text]["seconds"] for text in TOO_LARGE] == [None] * len(TOO_LARGE)
    assert [found[text]["in_a_case"] for text in TOO_LARGE] == [None] * len(TOO_LARGE)
    assert found["1763600000"]["decimals"] is None
    assert found["1763600000"]["seconds"] == found["1763600000"]["millis"] == found["1763600000"]["micros"]


@pytest.mark.spark
def test_malformed_values_are_null(spark: SparkSession) -> None:
    rows = spark.createDataFrame([("%zz{",)], "v string")
    expressions = {
        "json": "parse_json(v)",
        "url": "url_decode(v)",
        "number": "to_number(v, '999')",
        "binary": "to_binary(v, 'hex')",
        "utf8": "validate_utf8(cast(unhex('ff') AS string))",
        "twelve_hours": "to_timestamp(v, 'M/d/yyyy h:mm a')",
        "serial": "timestamp_seconds(round((v - 25569) * 86400))",
    }
    found = evaluate(rows, expressions, [], "k").select(*(F.col(name).isNull() for name in expressions)).first()
    assert found is not None
    assert all(found)


CLOCKS = {
    "11/20/2026 9:05 PM": "2026-11-20 21:05:00",
    "1/2/2026 12:00 am": "2026-01-02 00:00:00",
    "13/45/2026 9:05 PM": None,
    "9:05 PM": None,
    "45981.38": "2025-11-20 09:07:12",
    "46346": "2026-11-20 00:00:00",
    "99999999999": None,
    "": None,
}


@pytest.mark.spark
def test_twelve_hour_clocks_and_days_of_a_spreadsheet_beside_bad_rows(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(text,) for text in CLOCKS], "t string")
    either = "coalesce(to_timestamp(t, 'M/d/yyyy h:mm a'), timestamp_seconds(round((t - 25569) * 86400)))"
    found = evaluate(rows, {"ts": either}, ["t"], "k").select("t", F.col("ts").cast("string")).collect()
    assert {row["t"]: row["ts"] for row in found} == CLOCKS
