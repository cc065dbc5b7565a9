"""Cleans the users: one row per known user of the window's events."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline_tasks.config.source_toml import Source
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.tables.contracts import TABLES
from spark_jobs.cleaning.cleaning_rules import RULE
from spark_jobs.cleaning.incremental_dimensions import EARLIER, IncrementalDimensions
from spark_jobs.cleaning.map_catalog import ATTRIBUTE, as_json_object, map_users, one_each, said_of_users, typed_users
from spark_jobs.landing.landing_reader import LandingReader
from spark_jobs.landing.read_records import CORRUPT


def build_users(
    landed: LandingReader, night: RunKey, window: Sequence[date], events: DataFrame, earlier: IncrementalDimensions
) -> DataFrame:
    """Return the users of the window's events as of the night; attributes are NULL where the shop says none.

    `events` are those of the days that the earlier nights do not tell of.
    """
    said = _described(landed, night, earlier.days)
    listed = landed.source.users is not None and landed.source.users.path is not None
    active = _active(events, None if listed else said)
    rows = earlier.rows("users").join(active, on="user_key", how="full").select("user_key", *_as_of_now())
    rows = rows.where(F.col("last_seen") >= F.lit(window[0]))
    if listed and said is not None:
        rows = rows.drop("attributes").join(said, on="user_key", how="left")
    return rows.select("*", F.lit(night.ds).alias("ds")).select(*TABLES["users"].column_names)


def _active(events: DataFrame, said: DataFrame | None) -> DataFrame:
    """Return user_key, first_seen, last_seen, attributes, and `says`: whether there are attributes, be they NULL."""
    known = events.where(F.col("user_key").isNotNull())
    active = known.groupBy("user_key").agg(F.min("ds").alias("first_seen"), F.max("ds").alias("last_seen"))
    if said is None:
        return active.select("*", F.lit(None).cast("string").alias("attributes"), F.lit(False).alias("says"))
    # All that is said, also in records that cleaning refuses: what is said last counts.
    return active.join(said.select("*", F.lit(True).alias("says")), on="user_key", how="full")


def _as_of_now() -> list[Column]:
    return [
        F.least("first_seen", EARLIER + "first_seen").alias("first_seen"),
        F.greatest("last_seen", EARLIER + "last_seen").alias("last_seen"),
        F.when(F.col("says"), F.col("attributes")).otherwise(F.col(EARLIER + "attributes")).alias("attributes"),
    ]


def _described(landed: LandingReader, night: RunKey, days: Sequence[date]) -> DataFrame | None:
    """Return user_key and attributes, one row per user."""
    form = landed.source.users
    if form is None or not form.attributes:
        return None
    raw = landed.days("events", days) if form.path is None else landed.days("users", [night.ds])
    if raw is None:
        return None
    rows = (_latest if form.path is None else _of_catalog)(raw, landed.source, landed.compose)
    return rows.select("user_key", as_json_object(form.attributes).alias("attributes"))


def _of_catalog(raw: DataFrame, source: Source, compose: bool) -> DataFrame:
    return one_each(map_users(raw, source, compose).where(F.col(RULE).isNull()), "user_key")


def _latest(raw: DataFrame, source: Source, compose: bool) -> DataFrame:
    """Return what each user's newest record says. Texts are cleaned once each, not once an event."""
    said = said_of_users(raw, source).where(F.col(CORRUPT).isNull())
    fields = [name for name in said.columns if name.startswith(ATTRIBUTE)]
    distinct = said.groupBy("user_key", *fields).agg(F.max("ds").alias("ds"))
    typed = typed_users(distinct, source, ("ds",), compose).where(F.col("user_key").isNotNull())
    latest = typed.groupBy("user_key", *fields).agg(F.max("ds").alias("last"))
    newest = Window.partitionBy("user_key").orderBy(F.desc("last"), *fields)
    return latest.withColumn("place", F.row_number().over(newest)).where(F.col("place") == 1)
