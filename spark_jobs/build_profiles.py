"""Build user_profiles: what the events of the window say of every known shopper.

    python spark_jobs/build_profiles.py --source simulated_shop --date 2026-11-20 --window-days 30

Writes the manifest `profiles`; nothing is visible before it is gated and published.
"""

import argparse
from datetime import date

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.clear_exit import clear_exit
from pipeline_tasks.contracts import TABLES
from pipeline_tasks.lake import Lake
from pipeline_tasks.night import Night, parse_day
from pipeline_tasks.settings import settings
from pipeline_tasks.staging import Manifest, write_manifest
from spark_jobs.shopper_interests import event_weight, find_favourites
from spark_jobs.spark_session import open_session
from spark_jobs.stage_table import read_table, stage_table


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description="Build the profiles of all known shoppers")
    parser.add_argument("--source", required=True, help="name of the source")
    parser.add_argument("--date", required=True, type=parse_day, help="the night, YYYY-MM-DD")
    parser.add_argument("--window-days", type=int, default=settings().split.window_days, help="days up to the night")
    return parser


def profile_shoppers(events: DataFrame, items: DataFrame, ds: date, window_days: int) -> DataFrame:
    """Return one row of user_profiles per known shopper of `events`.

    `items` is the catalog as of `ds`; events without a price count with the item's.
    """
    touched = _touch(events, items).cache()
    lived = touched.groupBy("user_key").agg(
        F.date_diff(F.lit(ds), F.max("ds")).alias("recency_days"),
        F.date_diff(F.lit(ds), F.min("ds")).alias("known_days"),
        F.count_distinct("ds").alias("frequency"),
        F.greatest(F.sum("spent"), F.lit(0.0)).alias("monetary"),
        F.count(F.lit(1)).alias("events"),
        F.bool_or(F.col("event_type").isin("purchase", "rating")).alias("committed"),
        F.percentile("touched_price", 0.5).alias("usual_price"),
        F.mode("hour", deterministic=True).alias("preferred_hour"),
    )
    frequent = F.broadcast(lived.agg(F.percentile("frequency", 2 / 3).alias("frequent_days")))
    prices = F.broadcast(touched.agg(F.percentile("touched_price", [1 / 3, 2 / 3]).alias("price_thirds")))
    return (
        lived.join(find_favourites(touched, "category", "top_categories"), "user_key", how="left")
        .join(find_favourites(touched, "brand", "top_brands"), "user_key", how="left")
        .join(frequent, how="cross")
        .join(prices, how="cross")
        .withColumns(
            {
                "segment": choose_segment(window_days),
                "price_band": choose_price_band(),
                "top_categories": F.coalesce("top_categories", F.array().cast("array<string>")),
                "top_brands": F.coalesce("top_brands", F.array().cast("array<string>")),
                "ds": F.lit(ds),
            }
        )
        .select(TABLES["user_profiles"].column_names)
    )


def choose_segment(window_days: int) -> Column:
    """Return the shopper's place in the life of a customer; every source has what it needs, only dates and event types.

    lapsed: nothing in the later half of the window. new: first event in its last quarter. loyal: active on as many days
    as the most active third. buyer: has bought or rated. browser: has only looked.
    """
    return (
        F.when(F.col("recency_days") > window_days / 2, "lapsed")
        .when(F.col("known_days") < window_days / 4, "new")
        .when((F.col("frequency") >= F.col("frequent_days")) & (F.col("frequency") > 1), "loyal")
        .when(F.col("committed"), "buyer")
        .otherwise("browser")
    )


def choose_price_band() -> Column:
    """Return the third of all touched prices in which the shopper's median lies; NULL when no price is known."""
    usual, thirds = F.col("usual_price"), F.col("price_thirds")
    return (
        F.when(usual.isNull(), F.lit(None).cast("string"))
        .when(thirds[0] == thirds[1], "middle")
        .when(usual <= thirds[0], "low")
        .when(usual >= thirds[1], "high")
        .otherwise("middle")
    )


def _touch(events: DataFrame, items: DataFrame) -> DataFrame:
    amount = F.coalesce(F.col("price") * F.col("quantity"), F.lit(0.0))
    catalog = items.select("item_id", "category", "brand", F.col("price").alias("item_price"))
    return (
        events.where(F.col("user_key").isNotNull())
        .join(catalog, "item_id", how="left")
        .select(
            "user_key",
            "ds",
            "event_type",
            "category",
            "brand",
            event_weight().alias("weight"),
            F.hour("ts").cast("int").alias("hour"),
            F.coalesce("price", "item_price").alias("touched_price"),
            F.when(F.col("event_type") == "purchase", amount)
            .when(F.col("event_type") == "cancellation", -amount)
            .otherwise(0.0)
            .alias("spent"),
        )
    )


def build(spark: SparkSession, night: Night, window_days: int) -> Manifest:
    """Build the step's table and return its manifest.

    Raises:
        ValueError: no events are published for the window.
    """
    lake = Lake.open(settings(), night.source)
    window = night.window(window_days)
    if not lake.files("events", (window[0], night.ds)):
        raise ValueError(
            f"No events of {night.source} from {window[0]} to {night.ds} in the lake: land and clean those days first "
            f"(nightshelf run --source {night.source} --date {night.ds})"
        )
    events = read_table(spark, lake, "events", (window[0], night.ds))
    items = read_table(spark, lake, "items", (night.ds, night.ds))
    profiles = profile_shoppers(events, items, night.ds, window_days)
    staged = stage_table(lake, "user_profiles", profiles.coalesce(1).sortWithinPartitions("user_key"), [night.ds])
    print(f"profiles {night.source} {night.ds}: {staged.rows} shoppers")
    facts = {
        "window_days": str(window_days),
        "events_snapshot_id": str(lake.snapshot_id("events")),
        "items_snapshot_id": str(lake.snapshot_id("items")),
    }
    return Manifest(source=night.source, ds=night.ds, step="profiles", tables={"user_profiles": staged}, facts=facts)


def main() -> None:
    """Run the job."""
    arguments = arg_parser().parse_args()
    with clear_exit():
        night = Night(arguments.source, arguments.date)
        spark = open_session(f"profiles {night.source} {night.ds}")
        write_manifest(settings(), build(spark, night, arguments.window_days))


if __name__ == "__main__":
    main()
