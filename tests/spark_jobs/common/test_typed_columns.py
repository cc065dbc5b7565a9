import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from spark_jobs.common.typed_columns import as_key, as_number, as_rating, as_text, as_time, has_value

pytestmark = pytest.mark.spark

# NONE in full width; the signs of Kelvin and of the dotted I, ASCII in lower case; letters of two bytes.
PRESENT = (
    "none.",
    "nuls",
    "non\u00e8",
    "\u00f1an",
    "\uff2e\uff2f\uff2e\uff25",
    "\u212aan",
    "nu\u0130l",
    "<na> ?",
    "0",
)
MISSING = ("", "  ", "None", " NULL ", "nan", "N/A", "<NA>", "  null  ")


def test_texts_for_a_missing_value_are_null(spark: SparkSession) -> None:
    texts = [(text,) for text in (*PRESENT, *MISSING)]
    rows = spark.createDataFrame(texts, "text string")
    text = F.col("text")
    found = rows.select(
        text, as_key(text, StringType()).alias("key"), as_text(text).alias("value"), has_value(text, StringType())
    ).collect()
    kept = {row["text"]: (row["key"], row["value"], row[3]) for row in found}
    wanted = {text: (text, text, True) for text in PRESENT} | dict.fromkeys(MISSING, (None, None, False))
    assert kept == wanted


def test_texts_for_a_missing_id_are_values_elsewhere(spark: SparkSession) -> None:
    text = F.col("text")
    rows = spark.createDataFrame([("NA",), (" na ",), ("\\N",), ("NAN1",), ("n",)], "text string")
    found = rows.select(as_key(text, StringType()).alias("key"), as_text(text).alias("text")).collect()
    assert [row["key"] for row in found] == [None, None, None, "NAN1", "n"]
    assert [row["text"] for row in found] == ["NA", "na", "\\N", "NAN1", "n"]


BLANKS = (" ", "\t", "\n", "\r", "\x00", "\x1f", "\x85", "\u00a0", "\u3000", "\ufeff", "\u200b", "\u2009", " \u00a0\t")
APART = (
    "aB3_x",
    "AB3_X",
    "00123",
    "123",
    "18446744073709551615",
    "1E5",
    "100000",
    "-9x",
    "_9x",
    "\U0001f98a",
    "NULLA",
    "5863.0",
)


def test_only_white_space_is_trimmed_from_ids(spark: SparkSession) -> None:
    dressed = {text: "P 1" for blank in BLANKS for text in (f"{blank}P 1{blank}", f"{blank}P 1", f"P 1{blank}")}
    wanted = dressed | {text: text for text in APART} | dict.fromkeys(BLANKS)
    rows = spark.createDataFrame([(text,) for text in wanted], "text string")
    found = {
        row["text"]: row["key"]
        for row in rows.select("text", as_key(F.col("text"), StringType()).alias("key")).collect()
    }
    assert found == wanted


NUMBERS: dict[str, tuple[float | None, float | None, float | None]] = {
    # undeclared, decimal = ".", decimal = ","
    "9": (9.0, 9.0, 9.0),
    "4.50": (4.5, 4.5, None),
    " £9.99 ": (9.99, 9.99, None),
    "12,50\u00a0€": (None, None, 12.5),
    "0,750": (None, None, 0.75),
    "1,234": (None, 1234.0, 1.234),
    "1.234": (1.234, 1.234, 1234.0),
    "$1,250.00": (1250.0, 1250.0, None),
    "1,234,567": (1234567.0, 1234567.0, None),
    "1.234,56": (None, None, 1234.56),
    "1.234.567": (None, None, 1234567.0),
    "-3": (-3.0, -3.0, -3.0),
    "1e5": (100000.0, 100000.0, None),
    "10d": (None, None, None),
    "1F": (None, None, None),
    "10 f": (None, None, None),
    "0x1A": (None, None, None),
    "1_000": (None, None, None),
    "4½": (4.5, 4.5, 4.5),
    "½": (0.5, 0.5, 0.5),
    "4/5": (None, None, None),
    "cheap": (None, None, None),
}


def test_an_ambiguous_number_is_null_until_its_mark_is_declared(spark: SparkSession) -> None:
    text = F.col("text")
    rows = spark.createDataFrame([(text,) for text in NUMBERS], "text string")
    found = rows.select(text, *(as_number(text, StringType(), mark) for mark in ("", ".", ","))).collect()
    assert {row[0]: tuple(row)[1:] for row in found} == NUMBERS


def test_stars_are_a_rating(spark: SparkSession) -> None:
    wanted = {"★★★½": 3.5, "★★★☆☆": 3.0, "★": 1.0, "4½": 4.5, "4.5": 4.5, "☆": None, "★ good": None, "good": None}
    rows = spark.createDataFrame([(text,) for text in wanted], "text string")
    found = rows.select("text", as_rating(F.col("text"), StringType()).alias("rating")).collect()
    assert {row["text"]: row["rating"] for row in found} == wanted


TIMES = {
    "2026-11-20 09:05": "2026-11-20 09:05:00",
    "2026-11-20T09:05:00+08:00": "2026-11-20 01:05:00",
    " \t2026-11-20": "2026-11-20 00:00:00",
    "2026-1-2": "2026-01-02 00:00:00",
    "2026-1-2 9:5": "2026-01-02 09:05:00",
    "1999-12-31 23:59:59": "1999-12-31 23:59:59",
    "2100-01-01 00:00:01": "2100-01-01 00:00:01",
}
NO_TIMES = (
    "09:12:33",
    "T09:12",
    " 9:12",
    "T9",
    "9:12-8-05",
    "20:30:45.123456+08:00",
    "2026:30",
    "2026 09:12",
    "2026-11 09:12",
    "2026-11+08:00",
    "200:30",
    "2026",
    "2026-11",
    "2026-11-",
    "now",
    "today",
    "12345-01-01",
)


def test_a_time_needs_a_whole_date(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(text,) for text in (*TIMES, *NO_TIMES)], "ts string")
    found = {row[0]: row[1] for row in rows.select("ts", as_time("ts", StringType(), "ts").cast("string")).collect()}
    assert found == TIMES | dict.fromkeys(NO_TIMES)


def test_an_impossible_date_is_null(spark: SparkSession) -> None:
    days = spark.range(1).select(
        F.expr("date_from_unix_date(2147483647)").alias("far"), F.expr("DATE '2026-11-20'").alias("ts")
    )
    found = days.select(
        *(as_time(name, days.schema[name].dataType, name).cast("string").alias(name) for name in ("far", "ts"))
    ).first()
    assert found is not None
    assert tuple(found) == (None, "2026-11-20 00:00:00")
