"""Attributes search queries to the events that follow them."""

from typing import Final

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline_tasks.time_units import SESSION_GAP

LED_BY: Final = "led_by"
"""The query that led to an event, NULL for none."""
_CHOSEN: Final = "is_chosen"


def has_queries(events: DataFrame) -> bool:
    """Return whether the log holds a query. For a log without queries, Parquet's statistics suffice."""
    return not events.where(F.col("query").isNotNull()).isEmpty()


def with_queries(chosen: DataFrame, others: DataFrame, key: Column) -> DataFrame:
    """Return the events `chosen` and `others` with `sequence_key`, `led_by` and the flag of the chosen ones.

    The query that led to an event is its own, where the shop gives one, else the last query of the same session, at
    most SESSION_GAP earlier. Later queries are ignored. There is one shuffle, by the key of the sequences.
    """
    columns = ("user_key", "session_id", "item_id", "event_type", "query", "ts", "event_id", "ds")
    parts = [part.select(*columns, F.lit(kept).alias(_CHOSEN)) for part, kept in ((chosen, True), (others, False))]
    both = parts[0].unionByName(parts[1])
    keyed = both.withColumn("sequence_key", key).where(F.col("sequence_key").isNotNull()).repartition("sequence_key")
    session = Window.partitionBy("sequence_key", "session_id").orderBy("ts", _CHOSEN, "event_id")
    typed = F.when(F.col("query").isNotNull(), F.struct("ts", "query"))
    latest = F.last(typed, ignorenulls=True).over(session)
    recent = F.unix_micros("ts") - F.unix_micros(latest["ts"]) <= SESSION_GAP
    return keyed.withColumn(LED_BY, F.when(recent, latest["query"]))


def without_queries(chosen: DataFrame, key: Column) -> DataFrame:
    """Return the result of `with_queries` for a log without queries."""
    rows = chosen.withColumns({"sequence_key": key, LED_BY: F.lit(None).cast("string"), _CHOSEN: F.lit(True)})
    return rows.where(F.col("sequence_key").isNotNull())


def is_chosen() -> Column:
    """Return the condition for the events that belong to sequences."""
    return F.col(_CHOSEN)
