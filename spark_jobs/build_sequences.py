"""Builds histories from events."""

from datetime import date
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.contracts import EVENT_TYPES, TABLES
from spark_jobs.net_cancellations import ABSORBED

CHOSEN_TYPES: Final = tuple(kind for kind in EVENT_TYPES if kind not in ("impression", "search", "cancellation"))
"""Events that say a shopper chose the item: an impression was only shown, a search names no item."""


def chosen_events(events: DataFrame, netted: DataFrame | None) -> DataFrame:
    """Return the events that histories are made of: of CHOSEN_TYPES, less the purchases that were taken back whole."""
    chosen = events.where(F.col("event_type").isin(*CHOSEN_TYPES) & F.col("item_id").isNotNull())
    if netted is None:
        return chosen
    gone = netted.where(F.col(ABSORBED) >= F.col("quantity")).select("event_id", "ds")
    return chosen.join(F.broadcast(gone), on=["event_id", "ds"], how="left_anti")


def build_sequences(chosen: DataFrame, ds: date) -> DataFrame:
    """Return rows of the table `sequences`. An anonymous event without a session belongs to no history."""
    key = F.coalesce(F.col("user_key"), F.concat(F.lit("session:"), F.col("session_id")))
    entry = F.struct("ts", "event_id", "item_id", "event_type")
    keyed = chosen.select(key.alias("sequence_key"), "user_key", entry.alias("entry")).where(key.isNotNull())
    gathered = keyed.groupBy("sequence_key", "user_key").agg(F.array_sort(F.collect_list("entry")).alias("entries"))
    return gathered.select(
        "sequence_key",
        "user_key",
        F.col("entries.item_id").alias("item_ids"),
        F.col("entries.event_type").alias("event_types"),
        F.transform("entries", lambda one: F.unix_micros(one["ts"])).alias("timestamps"),
        F.lit(ds).alias("ds"),
    ).select(*TABLES["sequences"].column_names)
