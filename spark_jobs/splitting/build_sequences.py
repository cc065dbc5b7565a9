"""Builds histories from events."""

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.tables.contracts import CHOSEN_TYPES, TABLES
from spark_jobs.splitting.attribute_queries import LED_BY, anybody_typed, is_chosen, with_queries, without_queries
from spark_jobs.splitting.net_cancellations import ABSORBED


def chosen_events(events: DataFrame, netted: DataFrame | None) -> DataFrame:
    """Return the events that histories are made of: of CHOSEN_TYPES, less the purchases that were taken back whole."""
    chosen = events.where(_names_a_choice())
    if netted is None:
        return chosen
    gone = netted.where(F.col(ABSORBED) >= F.col("quantity")).select("event_id", "ds")
    return chosen.join(F.broadcast(gone), on=["event_id", "ds"], how="left_anti")


def build_sequences(chosen: DataFrame, events: DataFrame, ds: date) -> DataFrame:
    """Return rows of the table `sequences`. An anonymous event without a session belongs to no history.

    Args:
        chosen: what `chosen_events` gives of `events`, those of the window.
    """
    key = F.coalesce(F.col("user_key"), F.concat(F.lit("session:"), F.col("session_id")))
    if anybody_typed(events):
        keyed = with_queries(chosen, events.where(F.col("query").isNotNull() & ~_names_a_choice()), key)
    else:
        keyed = without_queries(chosen, key)
    entry = F.struct("ts", "event_id", "item_id", "event_type", LED_BY)
    typed = F.struct("ts", "query", "ds")
    gathered = keyed.groupBy("sequence_key", "user_key").agg(
        F.array_sort(F.collect_list(F.when(is_chosen(), entry))).alias("entries"),
        F.max(F.when(~is_chosen(), typed)).alias("typed"),
    )
    waiting = (F.col("typed.ts") > F.element_at("entries", -1)["ts"]) & (F.col("typed.ds") == F.lit(ds))
    some = F.exists("entries", lambda one: one[LED_BY].isNotNull())
    queries = F.transform("entries", lambda one: F.coalesce(one[LED_BY], F.lit("")))
    return (
        gathered.where(F.size("entries") > 0)
        .select(
            "sequence_key",
            "user_key",
            F.col("entries.item_id").alias("item_ids"),
            F.col("entries.event_type").alias("event_types"),
            F.transform("entries", lambda one: F.unix_micros(one["ts"])).alias("timestamps"),
            F.when(some, queries).alias("queries"),
            F.when(waiting, F.col("typed.query")).alias("last_query"),
            F.lit(ds).alias("ds"),
        )
        .select(*TABLES["sequences"].column_names)
    )


def _names_a_choice() -> Column:
    return F.col("event_type").isin(*CHOSEN_TYPES) & F.col("item_id").isNotNull()
