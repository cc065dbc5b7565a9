"""Cleans the catalog: one row per item of the catalog or of the window's events."""

from collections.abc import Sequence
from datetime import date, timedelta

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from pipeline_tasks.contracts import TABLES
from pipeline_tasks.intake.sources import SourceError
from pipeline_tasks.night import Night
from pipeline_tasks.storage.lake import Lake
from pipeline_tasks.storage.staging import StagedTable
from spark_jobs.landed_records import LandedSource
from spark_jobs.map_catalog import FIELDS, as_json_object, map_items, one_each
from spark_jobs.stage_table import column_values, read_table


def build_items(landed: LandedSource, lake: Lake, night: Night, window: Sequence[date], events: DataFrame) -> DataFrame:
    """Return the catalog as of the night.

    An item that only events know has no title; first_seen is the earliest of the window's events, the catalog's day and
    what an earlier night's catalog said.
    """
    described = _described(landed, night, window)
    traded = _traded(events.where(F.col("item_id").isNotNull()))
    # A catalog drawn from the events also lists what cleaning refused (postage, test lines): only traded items count.
    own_catalog = landed.source.items is not None and landed.source.items.path is not None
    known = traded
    if described is not None:
        known = traded.join(described, on="item_id", how="full" if own_catalog else "left")
    for name in ("title", "category", "brand", "price", "attributes", "in_catalog"):
        if name not in known.columns:
            known = known.withColumn(name, F.lit(None).cast("double" if name == "price" else "string"))
    known = known.join(_earlier(landed, lake, night), on="item_id", how="left")
    catalog_day = F.when(F.col("in_catalog").isNotNull(), F.lit(night.ds))
    return known.select(
        "item_id",
        "title",
        "category",
        "brand",
        F.coalesce("price", "last_price").alias("price"),
        "attributes",
        F.least("first_event", "earlier", catalog_day).alias("first_seen"),
        F.lit(night.ds).alias("ds"),
    ).select(*TABLES["items"].column_names)


def _traded(seen: DataFrame) -> DataFrame:
    """Return item_id, first_event and last_price, the price of the item's last event.

    In two steps of numbers alone: the largest of a pair (ts, event_id) is no number, and Spark would sort all events.
    """
    span = seen.groupBy("item_id").agg(F.min("ds").alias("first_event"), F.max("ts").alias("last"))
    at_last = seen.select("item_id", F.col("ts").alias("last"), "event_id", "price").join(
        F.broadcast(span), on=["item_id", "last"], how="inner"
    )
    newest = F.max_by("price", "event_id").alias("last_price")
    return at_last.groupBy("item_id").agg(F.first("first_event").alias("first_event"), newest)


def _described(landed: LandedSource, night: Night, window: Sequence[date]) -> DataFrame | None:
    """Return item_id, title, category, brand, price, attributes and in_catalog, one row per item."""
    form = landed.source.items
    if form is None:
        return None
    from_events = form.path is None
    raw = landed.days("events", window) if from_events else landed.days("items", [night.ds])
    if raw is None:
        return None
    mapped = map_items(raw, form)
    rows = _commonest(mapped) if from_events else one_each(mapped.where(F.col("_rule").isNull()), "item_id")
    listed = F.lit(None if from_events else "yes").cast("string").alias("in_catalog")
    return rows.select("item_id", *FIELDS, as_json_object(form.attributes).alias("attributes"), listed)


def _commonest(mapped: DataFrame) -> DataFrame:
    """Return each item's most frequent description: shops write notes ("damaged?") into some order lines."""
    fields = [name for name in mapped.columns if not name.startswith("_") and name not in ("item_id", "ds", "arrived")]
    named = mapped.where(F.col("_rule").isNull())
    counted = named.groupBy("item_id", *fields).agg(F.count(F.lit(1)).alias("n"), F.max("ds").alias("last"))
    order = [F.col("title").isNotNull().desc(), F.desc("n"), F.desc("last"), *map(F.col, fields)]
    ranked = counted.withColumn("place", F.row_number().over(Window.partitionBy("item_id").orderBy(*order)))
    return ranked.where(F.col("place") == 1)


def require_titles(landed: LandedSource, staged: StagedTable) -> None:
    """Refuse a staged catalog without a single title where titles are mapped. Reads one column's statistics.

    Raises:
        SourceError: no item has a title.
    """
    form = landed.source.items
    if form is None or form.columns.title is None or column_values(staged, "title") or not staged.rows:
        return
    where = landed.landings["items" if form.path else "events"].folder
    raise SourceError(
        f"No item of {landed.source.name} has a title: items.columns.title = {form.columns.title!r} is empty in every "
        f"record landed in {where}. Map title to a column with text, or remove it to run on item ids alone"
    )


def _earlier(landed: LandedSource, lake: Lake, night: Night) -> DataFrame:
    before = [day for day in lake.days("items") if day < night.ds]
    days = (before[-1], before[-1]) if before else (night.ds - timedelta(1), night.ds - timedelta(1))
    return read_table(landed.spark, lake, "items", days).select("item_id", F.col("first_seen").alias("earlier"))
