"""Bots of the simulated shop: users who view an item every few seconds, all day."""

from collections.abc import Sequence
from datetime import date
from typing import Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.config.settings import SimulationSettings
from spark_jobs.simulation.shop_chance import Chance
from spark_jobs.simulation.shop_sessions import WINDOW_DAYS, catalog_size

EVENTS: Final = 2_200
"""A bot's events a day: above cleaning.bot_events_per_day."""
_ONE_DAY_IN: Final = 15
_SMALLEST_SHOP: Final = 3_000
"""Fewest events a day of a shop with bots; in a smaller shop one bot would outweigh all users."""


def bot_lines(spark: SparkSession, settings: SimulationSettings, days: Sequence[date]) -> DataFrame:
    """Return ds and value (a line of JSON) of the bots of the days."""
    chance, daily = Chance(settings.seed), settings.events / WINDOW_DAYS
    bots = max(1, round(daily / 300_000)) if daily >= _SMALLEST_SHOP else 0
    numbers = F.array(*(F.lit((day - date(1970, 1, 1)).days) for day in days))
    each = spark.range(0, len(days) * bots * EVENTS, 1, 1).select(
        F.element_at(numbers, F.floor(F.col("id") / (bots * EVENTS or 1)).cast("int") + 1).alias("day"),
        (F.floor(F.col("id") / EVENTS) % (bots or 1)).alias("bot"),
        (F.col("id") % EVENTS).alias("nth"),
    )
    active = each.where(chance.below(_ONE_DAY_IN, "bot day", F.col("day")) == 0)
    act = (F.col("day"), F.col("bot"), F.col("nth"))
    at = F.col("nth") * 37 + chance.below(30, "bot pause", *act)
    record = F.struct(
        F.hex(F.xxhash64(*act)).alias("event_key"),
        F.date_format(F.timestamp_seconds(F.col("day") * 86_400 + at), "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'").alias("time"),
        F.lit("view").alias("kind"),
        F.concat_ws("-", F.lit("b"), F.col("day"), F.col("bot")).alias("shopper"),
        F.concat_ws("-", F.lit("sb"), F.col("day"), F.col("bot")).alias("session"),
        F.concat(F.lit("P"), chance.below(catalog_size(settings, F.col("day")), "bot item", *act)).alias("item"),
    )
    return active.select(F.date_from_unix_date(F.col("day").cast("int")).alias("ds"), F.to_json(record).alias("value"))
