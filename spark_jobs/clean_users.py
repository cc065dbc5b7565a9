"""Cleans the shoppers: one row per known shopper of the window's events."""

from collections.abc import Sequence
from datetime import date, timedelta

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from pipeline_tasks.contracts import TABLES
from pipeline_tasks.intake.source_contract import UserForm
from pipeline_tasks.night import Night
from pipeline_tasks.storage.lake import Lake
from spark_jobs.cleaning_rules import RULE
from spark_jobs.landed_records import LandedSource
from spark_jobs.map_catalog import ATTRIBUTE, as_json_object, map_users, one_each, said_of_users, typed_users
from spark_jobs.read_records import CORRUPT
from spark_jobs.stage_table import read_table


def build_users(landed: LandedSource, lake: Lake, night: Night, window: Sequence[date], events: DataFrame) -> DataFrame:
    """Return the shoppers of the window's events as of the night; attributes are NULL where the shop says none."""
    known = events.where(F.col("user_key").isNotNull())
    active = known.groupBy("user_key").agg(F.min("ds").alias("first_event"), F.max("ds").alias("last_seen"))
    described = _described(landed, night, window)
    rows = active.join(described, on="user_key", how="left") if described is not None else active
    if described is None:
        rows = rows.withColumn("attributes", F.lit(None).cast("string"))
    return (
        rows.join(_earlier(landed, lake, night), on="user_key", how="left")
        .select(
            "user_key",
            "attributes",
            F.least("first_event", "earlier").alias("first_seen"),
            "last_seen",
            F.lit(night.ds).alias("ds"),
        )
        .select(*TABLES["users"].column_names)
    )


def _described(landed: LandedSource, night: Night, window: Sequence[date]) -> DataFrame | None:
    """Return user_key and attributes, one row per shopper."""
    form = landed.source.users
    if form is None or not form.attributes:
        return None
    raw = landed.days("events", window) if form.path is None else landed.days("users", [night.ds])
    if raw is None:
        return None
    rows = _latest(raw, form) if form.path is None else _of_catalog(raw, form)
    return rows.select("user_key", as_json_object(form.attributes).alias("attributes"))


def _of_catalog(raw: DataFrame, form: UserForm) -> DataFrame:
    return one_each(map_users(raw, form).where(F.col(RULE).isNull()), "user_key")


def _latest(raw: DataFrame, form: UserForm) -> DataFrame:
    """Return what each shopper's newest record says. Texts are cleaned once each, not once an event."""
    said = said_of_users(raw, form).where(F.col(CORRUPT).isNull())
    fields = [name for name in said.columns if name.startswith(ATTRIBUTE)]
    distinct = said.groupBy("user_key", *fields).agg(F.max("ds").alias("ds"))
    typed = typed_users(distinct, form, ("ds",)).where(F.col("user_key").isNotNull())
    latest = typed.groupBy("user_key", *fields).agg(F.max("ds").alias("last"))
    newest = Window.partitionBy("user_key").orderBy(F.desc("last"), *fields)
    return latest.withColumn("place", F.row_number().over(newest)).where(F.col("place") == 1)


def _earlier(landed: LandedSource, lake: Lake, night: Night) -> DataFrame:
    before = [day for day in lake.days("users") if day < night.ds]
    days = (before[-1], before[-1]) if before else (night.ds - timedelta(1), night.ds - timedelta(1))
    return read_table(landed.spark, lake, "users", days).select("user_key", F.col("first_seen").alias("earlier"))
