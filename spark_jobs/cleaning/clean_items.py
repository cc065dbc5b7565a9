"""Builds the table `items`: one row per item of the catalog or of the window's events."""

from collections.abc import Sequence
from datetime import date
from typing import Final

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline_tasks.lake.staging import StagedTable
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.sources import SourceError
from pipeline_tasks.tables.contracts import TABLES
from spark_jobs.cleaning.incremental_dimensions import EARLIER, IncrementalDimensions
from spark_jobs.cleaning.map_catalog import FIELDS, as_json_object, map_items, newest_per_key
from spark_jobs.common.stage_table import staged_columns
from spark_jobs.landing.landing_reader import LandingReader

_DESCRIPTION: Final = (*FIELDS, "attributes")


def build_items(
    landed: LandingReader, run: RunKey, window: Sequence[date], events: DataFrame, earlier: IncrementalDimensions
) -> DataFrame:
    """Return the catalog as of the run; `events` are those of the days that the earlier runs do not cover.

    An item that only events name has no title. An item that an earlier catalog listed and this one does not keeps its
    earlier description. first_seen is the earliest of the window's events, the catalog's day and the earlier
    first_seen.
    """
    of_events = _items_of_events(events.where(F.col("item_id").isNotNull()))
    known = earlier.rows("items").join(of_events, on="item_id", how="full")
    known = known.select(
        "item_id", *_merged_columns(window[0]), *(EARLIER + name for name in ("listed", *_DESCRIPTION))
    )
    known, described = _join_descriptions(known, _descriptions(landed, run, window))
    # A catalog drawn from the events also lists what cleaning refused (postage, test lines): only traded items count.
    own_catalog = F.lit(_has_own_catalog(landed))
    listed = own_catalog & described
    delisted = own_catalog & ~described & F.col(EARLIER + "listed").isNotNull()
    chosen = {
        **{name: F.when(delisted, F.col(EARLIER + name)).otherwise(F.col(name)) for name in _DESCRIPTION},
        "first_seen": F.least("first_seen", F.when(listed, F.lit(run.ds))),
        "listed": F.when(listed, True).when(delisted, False),
        "ds": F.lit(run.ds),
    }
    known = known.where(F.col("last_seen").isNotNull() | listed).withColumns(chosen)
    return known.withColumn("price", F.coalesce("price", "last_price")).select(*TABLES["items"].column_names)


def _has_own_catalog(landed: LandingReader) -> bool:
    """Return whether the shop delivers a catalog in files of its own."""
    return landed.source.items is not None and landed.source.items.path is not None


def _merged_columns(first_day: date) -> list[Column]:
    """Return first_seen, last_seen and last_price of the window: from its events, else from the earlier tables."""
    in_window = F.col(EARLIER + "last_seen") >= F.lit(first_day)
    return [
        F.least("first_seen", EARLIER + "first_seen").alias("first_seen"),
        F.coalesce("last_seen", F.when(in_window, F.col(EARLIER + "last_seen"))).alias("last_seen"),
        F.when(F.col("last_seen").isNotNull(), F.col("last_price"))
        .when(in_window, F.col(EARLIER + "last_price"))
        .alias("last_price"),
    ]


def _join_descriptions(known: DataFrame, described: DataFrame | None) -> tuple[DataFrame, Column]:
    """Return `known` with the columns of the descriptions, and the condition that an item has one."""
    if described is None:
        nothing = {name: F.lit(None).cast("double" if name == "price" else "string") for name in _DESCRIPTION}
        return known.withColumns(nothing), F.lit(False)
    return known.join(described, on="item_id", how="full"), F.coalesce("described", F.lit(False))


def _items_of_events(seen: DataFrame) -> DataFrame:
    """Return item_id, first_seen, last_seen and last_price, the price of the item's last event.

    Two aggregations of numbers; for the maximum of a pair (ts, event_id) Spark would sort all events.
    """
    days = (F.min("ds").alias("first_seen"), F.max("ds").alias("last_seen"))
    span = seen.groupBy("item_id").agg(*days, F.max("ts").alias("last"))
    at_last = seen.select("item_id", F.col("ts").alias("last"), "event_id", "price").join(
        F.broadcast(span), on=["item_id", "last"], how="inner"
    )
    newest = F.max_by("price", "event_id").alias("last_price")
    same = (F.first(name).alias(name) for name in ("first_seen", "last_seen"))
    found = at_last.groupBy("item_id").agg(*same, newest)
    return found.select("item_id", "first_seen", "last_seen", "last_price")


def _descriptions(landed: LandingReader, run: RunKey, window: Sequence[date]) -> DataFrame | None:
    """Return item_id, title, category, brand, price, attributes and `described` (true), one row per item."""
    form = landed.source.items
    if form is None:
        return None
    from_events = form.path is None
    raw = landed.days("events", window) if from_events else landed.days("items", [run.ds])
    if raw is None:
        return None
    mapped = map_items(raw, landed.source, landed.normalize)
    rows = _most_frequent(mapped) if from_events else newest_per_key(mapped.where(F.col("_rule").isNull()), "item_id")
    attributes = as_json_object(form.attributes).alias("attributes")
    return rows.select("item_id", *FIELDS, attributes, F.lit(True).alias("described"))


def _most_frequent(mapped: DataFrame) -> DataFrame:
    """Return each item's most frequent description, because some order lines hold notes ("damaged?") instead."""
    fields = [name for name in mapped.columns if not name.startswith("_") and name not in ("item_id", "ds", "arrived")]
    named = mapped.where(F.col("_rule").isNull())
    counted = named.groupBy("item_id", *fields).agg(F.count(F.lit(1)).alias("n"), F.max("ds").alias("last"))
    order = [F.col("title").isNotNull().desc(), F.desc("n"), F.desc("last"), *map(F.col, fields)]
    ranked = counted.withColumn("place", F.row_number().over(Window.partitionBy("item_id").orderBy(*order)))
    return ranked.where(F.col("place") == 1)


def require_catalog(landed: LandingReader, staged: StagedTable) -> None:
    """Check that the staged catalog lists items, and titles where titles are mapped.

    Raises:
        SourceError: the catalog of the run lists no item, or none with a title.
    """
    form = landed.source.items
    if form is None or not staged.rows:
        return
    where = landed.landings["items" if form.path else "events"].folder
    rows = pa.concat_tables(staged_columns(file, "title", "listed") for file in staged.files)
    if _has_own_catalog(landed):
        # Descriptions from earlier catalogs do not show that the catalog of this run is usable.
        rows = rows.filter(rows["listed"])
        if not rows.num_rows:
            raise SourceError(
                f"The catalog of {landed.source.name} lists no item in any record landed in {where}: nothing would be "
                "left to show. Deliver it again, correct items.columns.item_id, or remove [items] to run without one"
            )
    if form.columns.title is None or rows["title"].null_count < len(rows):
        return
    raise SourceError(
        f"No item of {landed.source.name} has a title: items.columns.title = {form.columns.title!r} is empty in every "
        f"record landed in {where}. Map title to a column with text, or remove it to run on item ids alone"
    )
