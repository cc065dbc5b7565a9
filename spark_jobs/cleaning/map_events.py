"""Maps landed records to typed events by the source's expressions."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from pipeline_tasks.config.source_toml import Source
from spark_jobs.common.connect_frames import analyzed
from spark_jobs.common.expression_tokens import quoted
from spark_jobs.common.sql_expressions import evaluate
from spark_jobs.common.typed_columns import as_key, as_number, as_rating, as_text, as_time, has_value, rate_of
from spark_jobs.landing.event_days import shop_clock
from spark_jobs.landing.read_records import CORRUPT, SOURCE_FILE

ROW: Final = "_row"
"""Unique number of a landed row."""
RECORD: Final = "_record_id"
"""xxhash64 of all columns of the shop's record."""
LANDED: Final = (ROW, RECORD, CORRUPT, SOURCE_FILE, "ds", "arrived")
NUMBERS: Final = ("dwell_seconds", "price", "quantity", "position", "rating")
TIME: Final = "_ts"
KEPT: Final = "_kept"
"""Flag of a record that the `where` of its form does not leave out."""
UNREADABLE: Final = "_unreadable"
"""Name of the first number column with a value that is no number, and its likely cause; NULL for none."""
_NO_RATE: Final = " has no rate: add it to [currencies] in the TOML"
_WHICH_COMMA: Final = ' has a comma: set decimal = "," or "." beside name in the TOML'


def with_event_time(raw: DataFrame, source: Source) -> DataFrame:
    """Add `_ts`, the time of the record, NULL where it has none, and where `_kept` is not true."""
    columns = [quoted(name) for name in raw.columns]
    with shop_clock(raw.sparkSession, source.timezone):
        timed = evaluate(raw, {TIME: source.events.columns.ts}, columns, "events.columns", {TIME: "ts"}, only=KEPT)
        return analyzed(timed.withColumn(TIME, as_time(TIME, timed.schema[TIME].dataType, "events.columns.ts")))


def map_events(
    landed: DataFrame,
    source: Source,
    keep: Sequence[str] = (),
    *,
    blanks_only: bool = False,
    compose: bool = False,
    explain: bool = False,
) -> DataFrame:
    """Return LANDED, `keep`, the typed columns of `events` (except event_id) and `_unreadable`; no row is dropped.

    Args:
        blanks_only: trim only blanks from ids, see `as_key`.
        compose: bring ids to the Unicode normal form NFC.
        explain: add the likely cause to `_unreadable`.
    """
    with shop_clock(landed.sparkSession, source.timezone):
        as_id = partial(as_key, blanks_only=blanks_only, compose=compose)
        return analyzed(_mapped(landed, source, keep, as_id, explain))


def _mapped(
    landed: DataFrame, source: Source, keep: Sequence[str], convert: Callable[..., Column], explain: bool
) -> DataFrame:
    expressions = {k: v for k, v in source.events.columns.model_dump().items() if v is not None}
    raw = evaluate(landed, expressions, (*LANDED, *keep), "events.columns")
    decimal = source.decimal or ""
    numbers = {f"_{name}": _number(raw, name, decimal) for name in NUMBERS}
    if "currency" in raw.columns and source.currencies:
        numbers["_price"] = numbers["_price"] * rate_of(F.col("currency"), source.currencies)
    raw = raw.withColumns(numbers)
    return raw.select(
        *LANDED,
        *keep,
        _key(raw, "user_key", convert),
        _key(raw, "session_id", convert),
        F.lower(F.trim(F.col("event_type").cast("string"))).alias("event_type"),
        _key(raw, "item_id", convert),
        F.lower(_text(raw, "query")).alias("query"),
        *(F.col(f"_{name}").alias(name) for name in NUMBERS),
        _key(raw, "arm", convert),
        as_time("ts", raw.schema["ts"].dataType, "events.columns.ts").alias("ts"),
        _unreadable(raw, decimal, explain).alias(UNREADABLE),
    )


def _key(raw: DataFrame, name: str, convert: Callable[..., Column]) -> Column:
    if name not in raw.columns:
        return F.lit(None).cast("string").alias(name)
    return convert(F.col(name), raw.schema[name].dataType).alias(name)


def _text(raw: DataFrame, name: str) -> Column:
    return as_text(F.col(name)) if name in raw.columns else F.lit(None).cast("string")


def _number(raw: DataFrame, name: str, decimal: str) -> Column:
    if name not in raw.columns:
        return F.lit(None).cast("int" if name == "position" else "double")
    convert = as_rating if name == "rating" else as_number
    number = convert(F.col(name), raw.schema[name].dataType, decimal)
    return number.try_cast("int") if name == "position" else number


def _unreadable(raw: DataFrame, decimal: str, explain: bool) -> Column:
    faults = [
        F.when(
            F.col(f"_{name}").isNull() & has_value(F.col(name), raw.schema[name].dataType),
            _fault(raw, name, decimal) if explain else F.lit(name),
        )
        for name in NUMBERS
        if name in raw.columns
    ]
    return F.coalesce(*faults, F.lit(None).cast("string"))


def _fault(raw: DataFrame, name: str, decimal: str) -> Column:
    """Return the name of a column with a value that is no number, with its likely cause."""
    dtype = raw.schema[name].dataType
    fault: Column = F.lit(name)
    if isinstance(dtype, StringType) and not decimal:
        comma = F.concat(F.lit(f"{name}="), F.substring(name, 1, 40), F.lit(_WHICH_COMMA))
        fault = F.when(F.col(name).rlike(r"\d,\d"), comma).otherwise(fault)
    if name == "price" and "currency" in raw.columns:
        code = F.concat(F.lit("currency="), F.coalesce(F.col("currency").cast("string"), F.lit("NULL")))
        readable = as_number(F.col(name), dtype, decimal).isNotNull()
        fault = F.when(readable, F.concat(code, F.lit(_NO_RATE))).otherwise(fault)
    return fault
