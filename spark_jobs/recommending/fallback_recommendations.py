"""Recommendations for users without events: the recently popular items of a segment, or of everyone."""

from datetime import date, timedelta
from typing import Final

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline_tasks.tables.contracts import SEGMENTS, TABLES
from pipeline_tasks.times import end_of_day
from spark_jobs.common.stage_table import local_rows

EVERYONE: Final = "everyone"


def build_fallback(
    sequences: DataFrame, profiles: DataFrame, items: DataFrame, rows: int, since: int, model_version: str, ds: date
) -> DataFrame:
    """Return fallback_recommendations: `rows` items (or all of `items`) for each of SEGMENTS and for 'everyone'.

    Items are ordered by the segment's events since `since` (epoch microseconds), then by everyone's events since then,
    then by all events of the window, then by item_id. A segment with few recent events, or without users, is therefore
    filled with items that are popular with everyone, and at last with items without events.
    """
    events = _interactions(sequences, items, since)
    members = events.join(profiles.select("user_key", "segment"), "user_key", how="inner")
    counted = _count(members.drop("user_key")).unionByName(
        _count(events.select(F.lit(EVERYONE).alias("segment"), "item_id", "recent"))
    )
    everyone = counted.where(F.col("segment") == EVERYONE).select(
        "item_id", F.col("recent").alias("recent_of_all"), F.col("events").alias("events_of_all")
    )
    whole = items.select("item_id", "category").join(everyone, "item_id", how="left").fillna(0)
    best_of_all = whole.orderBy(F.desc("recent_of_all"), F.desc("events_of_all"), "item_id").limit(rows)
    named = [(segment,) for segment in (*SEGMENTS, EVERYONE)]
    segments = local_rows(profiles.sparkSession, named, pa.schema([("segment", pa.string())]))
    candidates = (
        counted.where(F.col("recent") > 0)
        .select("segment", "item_id")
        .union(segments.join(best_of_all.select("item_id"), how="cross"))
        .distinct()
    )
    order = Window.partitionBy("segment").orderBy(
        F.desc("recent"), F.desc("recent_of_all"), F.desc("events_of_all"), "item_id"
    )
    return (
        candidates.join(_shares(counted), ["segment", "item_id"], how="left")
        .join(whole, "item_id", how="left")
        .withColumns({"recent": F.coalesce("recent", F.lit(0)), "score": F.coalesce("share", F.lit(0.0))})
        .withColumn("rank", F.row_number().over(order))
        .where(F.col("rank") <= rows)
        .withColumns({"reason": _reason(), "model_version": F.lit(model_version), "ds": F.lit(ds)})
        .select(TABLES["fallback_recommendations"].column_names)
    )


def days_before_end(ds: date, days: int, zone: str | None = None) -> int:
    """Return the start of the last `days` days up to the end of `ds`, in epoch microseconds, by the zone's clock."""
    return end_of_day(ds - timedelta(days=days), zone)


def _interactions(sequences: DataFrame, items: DataFrame, since: int) -> DataFrame:
    event = F.explode(F.arrays_zip("item_ids", "timestamps")).alias("event")
    return (
        sequences.select("user_key", event)
        .select(
            "user_key",
            F.col("event.item_ids").alias("item_id"),
            (F.col("event.timestamps") >= since).cast("int").alias("recent"),
        )
        .join(items.select("item_id"), "item_id", how="left_semi")
    )


def _count(events: DataFrame) -> DataFrame:
    return events.groupBy("segment", "item_id").agg(F.sum("recent").alias("recent"), F.count(F.lit(1)).alias("events"))


def _shares(counted: DataFrame) -> DataFrame:
    """Return (segment, item_id, recent, share): its share of the segment's recent events, NULL where there are none."""
    of_segment = F.sum("recent").over(Window.partitionBy("segment"))
    return counted.select("segment", "item_id", "recent", F.try_divide("recent", of_segment).alias("share"))


def _reason() -> Column:
    leaf = F.element_at(F.split("category", " > "), -1)
    in_category = F.col("category").isNotNull()
    return (
        F.when((F.col("events_of_all") == 0) & in_category, F.concat(F.lit("waiting to be discovered in "), leaf))
        .when(F.col("events_of_all") == 0, "waiting to be discovered")
        .when(in_category, F.concat(F.lit("popular in "), leaf))
        .otherwise("popular right now")
    )
