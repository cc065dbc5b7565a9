"""Builds the table `users`: one row per known user of the window's events."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline_tasks.config.source_toml import Source
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.tables.contracts import TABLES
from spark_jobs.cleaning.cleaning_rules import RULE
from spark_jobs.cleaning.incremental_dimensions import EARLIER, IncrementalDimensions
from spark_jobs.cleaning.map_catalog import (
    ATTRIBUTE,
    as_json_object,
    evaluate_users,
    map_users,
    newest_per_key,
    typed_users,
)
from spark_jobs.landing.landing_reader import LandingReader
from spark_jobs.landing.read_records import CORRUPT


def build_users(
    landed: LandingReader, run: RunKey, window: Sequence[date], events: DataFrame, earlier: IncrementalDimensions
) -> DataFrame:
    """Return the users of the window's events as of the run; attributes are NULL where the shop has none.

    `events` are those of the days that the earlier runs do not cover.
    """
    descriptions = _descriptions(landed, run, earlier.days)
    listed = landed.source.users is not None and landed.source.users.path is not None
    active = _active_users(events, None if listed else descriptions)
    rows = earlier.rows("users").join(active, on="user_key", how="full").select("user_key", *_merged_columns())
    rows = rows.where(F.col("last_seen") >= F.lit(window[0]))
    if listed and descriptions is not None:
        rows = rows.drop("attributes").join(descriptions, on="user_key", how="left")
    return rows.select("*", F.lit(run.ds).alias("ds")).select(*TABLES["users"].column_names)


def _active_users(events: DataFrame, descriptions: DataFrame | None) -> DataFrame:
    """Return user_key, first_seen, last_seen, attributes and `has_attributes`.

    has_attributes is true for a user with a description, even where its attributes are NULL.
    """
    known = events.where(F.col("user_key").isNotNull())
    active = known.groupBy("user_key").agg(F.min("ds").alias("first_seen"), F.max("ds").alias("last_seen"))
    if descriptions is None:
        return active.select("*", F.lit(None).cast("string").alias("attributes"), F.lit(False).alias("has_attributes"))
    # Records that cleaning rejects count too; a user has the latest attributes of any record.
    return active.join(descriptions.select("*", F.lit(True).alias("has_attributes")), on="user_key", how="full")


def _merged_columns() -> list[Column]:
    attributes = F.when(F.col("has_attributes"), F.col("attributes")).otherwise(F.col(EARLIER + "attributes"))
    return [
        F.least("first_seen", EARLIER + "first_seen").alias("first_seen"),
        F.greatest("last_seen", EARLIER + "last_seen").alias("last_seen"),
        attributes.alias("attributes"),
    ]


def _descriptions(landed: LandingReader, run: RunKey, days: Sequence[date]) -> DataFrame | None:
    """Return user_key and attributes, one row per user."""
    form = landed.source.users
    if form is None or not form.attributes:
        return None
    raw = landed.days("events", days) if form.path is None else landed.days("users", [run.ds])
    if raw is None:
        return None
    rows = (_latest_of_events if form.path is None else _of_catalog)(raw, landed.source, landed.normalize)
    return rows.select("user_key", as_json_object(form.attributes).alias("attributes"))


def _of_catalog(raw: DataFrame, source: Source, compose: bool) -> DataFrame:
    return newest_per_key(map_users(raw, source, compose).where(F.col(RULE).isNull()), "user_key")


def _latest_of_events(raw: DataFrame, source: Source, compose: bool) -> DataFrame:
    """Return the attributes of each user's newest record. Each distinct text is cleaned once, not once per event."""
    descriptions = evaluate_users(raw, source).where(F.col(CORRUPT).isNull())
    fields = [name for name in descriptions.columns if name.startswith(ATTRIBUTE)]
    distinct = descriptions.groupBy("user_key", *fields).agg(F.max("ds").alias("ds"))
    typed = typed_users(distinct, source, ("ds",), compose).where(F.col("user_key").isNotNull())
    latest = typed.groupBy("user_key", *fields).agg(F.max("ds").alias("last"))
    newest = Window.partitionBy("user_key").orderBy(F.desc("last"), *fields)
    return latest.withColumn("place", F.row_number().over(newest)).where(F.col("place") == 1)
