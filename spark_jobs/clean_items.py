"""Cleans the catalog: one row per item of the catalog or of the window's events."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline_tasks.contracts import TABLES
from pipeline_tasks.intake.sources import SourceError
from pipeline_tasks.night import Night
from pipeline_tasks.storage.staging import StagedTable
from spark_jobs.earlier_nights import EARLIER, EarlierNights
from spark_jobs.landed_records import LandedSource
from spark_jobs.map_catalog import FIELDS, as_json_object, map_items, one_each
from spark_jobs.stage_table import column_values


def build_items(
    landed: LandedSource, night: Night, window: Sequence[date], events: DataFrame, earlier: EarlierNights
) -> DataFrame:
    """Return the catalog as of the night; `events` are those of the days that the earlier nights do not tell of.

    An item that only events know has no title; first_seen is the earliest of the window's events, the catalog's day and
    what an earlier night's catalog said.
    """
    traded = _traded(events.where(F.col("item_id").isNotNull()))
    known = earlier.rows("items").join(traded, on="item_id", how="full").select("item_id", *_as_of_now(window[0]))
    known, listed = _with_description(known, _described(landed, night, window))
    # A catalog drawn from the events also lists what cleaning refused (postage, test lines): only traded items count.
    own_catalog = landed.source.items is not None and landed.source.items.path is not None
    known = known.where(F.col("last_seen").isNotNull() | (F.lit(own_catalog) & listed))
    return known.select(
        "item_id",
        "title",
        "category",
        "brand",
        F.coalesce("price", "last_price").alias("price"),
        "attributes",
        F.least("first_seen", F.when(F.lit(own_catalog) & listed, F.lit(night.ds))).alias("first_seen"),
        "last_seen",
        "last_price",
        F.lit(night.ds).alias("ds"),
    ).select(*TABLES["items"].column_names)


def _as_of_now(first_day: date) -> list[Column]:
    """Return first_seen, last_seen and last_price of the window: the events' where there are any, else as earlier."""
    in_window = F.col(EARLIER + "last_seen") >= F.lit(first_day)
    return [
        F.least("first_seen", EARLIER + "first_seen").alias("first_seen"),
        F.coalesce("last_seen", F.when(in_window, F.col(EARLIER + "last_seen"))).alias("last_seen"),
        F.when(F.col("last_seen").isNotNull(), F.col("last_price"))
        .when(in_window, F.col(EARLIER + "last_price"))
        .alias("last_price"),
    ]


def _with_description(known: DataFrame, described: DataFrame | None) -> tuple[DataFrame, Column]:
    """Return `known` with the columns of a description, and whether an item has one."""
    if described is None:
        nothing = {
            name: F.lit(None).cast("double" if name == "price" else "string") for name in (*FIELDS, "attributes")
        }
        return known.withColumns(nothing), F.lit(False)
    return known.join(described, on="item_id", how="full"), F.coalesce("described", F.lit(False))


def _traded(seen: DataFrame) -> DataFrame:
    """Return item_id, first_seen, last_seen and last_price, the price of the item's last event.

    In two steps of numbers alone: the largest of a pair (ts, event_id) is no number, and Spark would sort all events.
    """
    span = seen.groupBy("item_id").agg(F.min("ds").alias("first_seen"), F.max("ts").alias("last"))
    at_last = seen.select("item_id", F.col("ts").alias("last"), "event_id", "price").join(
        F.broadcast(span), on=["item_id", "last"], how="inner"
    )
    newest = F.max_by("price", "event_id").alias("last_price")
    first = F.first("first_seen").alias("first_seen")
    # A date of the UTC session is its day, the `ds` of every event that cleaning lets through.
    found = at_last.groupBy("item_id").agg(first, F.to_date(F.first("last")).alias("last_seen"), newest)
    return found.select("item_id", "first_seen", "last_seen", "last_price")


def _described(landed: LandedSource, night: Night, window: Sequence[date]) -> DataFrame | None:
    """Return item_id, title, category, brand, price, attributes and `described` (true), one row per item."""
    form = landed.source.items
    if form is None:
        return None
    from_events = form.path is None
    raw = landed.days("events", window) if from_events else landed.days("items", [night.ds])
    if raw is None:
        return None
    mapped = map_items(raw, form)
    rows = _commonest(mapped) if from_events else one_each(mapped.where(F.col("_rule").isNull()), "item_id")
    attributes = as_json_object(form.attributes).alias("attributes")
    return rows.select("item_id", *FIELDS, attributes, F.lit(True).alias("described"))


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
