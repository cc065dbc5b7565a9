"""Quarantine rows of catalog and shopper records: corrupt, without an id, or an id given twice."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.intake.forgotten import read_forgotten
from pipeline_tasks.settings import settings
from spark_jobs.cleaning_rules import RULE
from spark_jobs.forgotten_shoppers import is_of
from spark_jobs.landed_records import LandedSource
from spark_jobs.map_catalog import map_items, map_users, repeated
from spark_jobs.map_events import ROW
from spark_jobs.quarantined import quarantined, raw_text


def refused_catalog(landed: LandedSource, days: Sequence[date], longest: int) -> list[DataFrame]:
    """Return quarantine rows of the catalogs and lists of shoppers that were landed for the days."""
    source, frames = landed.source, []
    items = landed.days("items", days) if source.items and source.items.path else None
    if items is not None and source.items:
        frames.append(_rows(items, repeated(map_items(items, source.items), "item_id"), "item_id", longest))
    users = landed.days("users", days) if source.users and source.users.path else None
    if users is not None and source.users:
        forgotten = read_forgotten(settings(), source.name)
        if forgotten:
            hers = map_users(users, source.users).where(is_of(forgotten)).select(ROW)
            users = users.join(hers, on=ROW, how="left_anti")
        frames.append(_rows(users, repeated(map_users(users, source.users), "user_key"), "user_key", longest))
    return frames


def _rows(raw: DataFrame, refused: DataFrame, key: str, longest: int) -> DataFrame:
    faults = refused.select(ROW, RULE, F.concat(F.lit(f"{key}="), F.col(key)).alias("detail"))
    return quarantined(raw.select("*", raw_text(raw, longest)).join(F.broadcast(faults), on=ROW, how="inner"))
