"""Carries what a user typed on to the events that it led to."""

from typing import Final

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline_tasks.time_units import SESSION_GAP

LED_BY: Final = "led_by"
"""The query that led to an event, NULL for none."""
_CHOSEN: Final = "is_chosen"


def has_queries(events: DataFrame) -> bool:
    """Return whether the log holds a query at all; where it does not, Parquet's statistics say so."""
    return not events.where(F.col("query").isNotNull()).isEmpty()


def with_queries(chosen: DataFrame, others: DataFrame, key: Column) -> DataFrame:
    """Return events that are chosen and `others`, which are not, with `sequence_key` and `led_by`.

    What was typed last in the same session, at most SESSION_GAP before, led to an event; its own query, where the shop
    names one, before all others. Later queries are not looked at. One shuffle, by the key that histories are gathered
    by too.
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
    """Return the same of a log in which nobody typed anything."""
    rows = chosen.withColumns({"sequence_key": key, LED_BY: F.lit(None).cast("string"), _CHOSEN: F.lit(True)})
    return rows.where(F.col("sequence_key").isNotNull())


def is_chosen() -> Column:
    """Return the condition for the events that histories are made of."""
    return F.col(_CHOSEN)
