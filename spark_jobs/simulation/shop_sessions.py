"""Sessions of the simulated shop, the items that are viewed in them, and its bots."""

from collections.abc import Sequence
from datetime import date
from typing import Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.config.settings import SimulationSettings
from spark_jobs.simulation.shop_words import CatalogLayout, Chance

WINDOW_DAYS: Final = 30
"""Days that hold about `simulation.events` events."""
OPENING: Final = date(2026, 10, 22)
"""Day from which on the catalog grows."""
DAILY_NEW_ITEMS: Final = 0.005
USER_DAYS: Final = 100
"""Days until a new user with other tastes replaces a user: 1 % of the users are new every day."""
EVENTS_PER_SESSION: Final = 5.85
"""Measured over 30 days, copies and cancellations included."""
_ANONYMOUS: Final = 0.12
_ACTIVITY_EXPONENT: Final = 1.3
"""Exponent of the users' activity: the most active user has about 30 sessions in a window, the median 4."""
EVENTS: Final = 2_200
"""A bot's events a day: above cleaning.bot_events_per_day."""
_ONE_DAY_IN: Final = 15
_SMALLEST_SHOP: Final = 3_000
"""Fewest events a day of a shop with bots; in a smaller shop one bot would outweigh all users."""


def catalog_size(settings: SimulationSettings, day: Column) -> Column:
    """Return the number of items that exist on the day (days since 1970)."""
    opening = (OPENING - date(1970, 1, 1)).days
    return F.lit(settings.items) + F.floor(F.greatest(day - opening, F.lit(0)) * (DAILY_NEW_ITEMS * settings.items))


def sessions(spark: SparkSession, settings: SimulationSettings, days: Sequence[date]) -> DataFrame:
    """Return one row per session: day, visit, person, anonymous, taste columns, start (seconds of the day)."""
    daily = max(1, round(settings.events / WINDOW_DAYS / EVENTS_PER_SESSION))
    total = daily * len(days)
    parts = max(2, round(total * EVENTS_PER_SESSION / 1_000_000))
    numbers = F.array(*(F.lit((day - date(1970, 1, 1)).days) for day in days))
    rows = spark.range(0, total, 1, parts).select(
        F.element_at(numbers, F.floor(F.col("id") / daily).cast("int") + 1).alias("day"),
        (F.col("id") % daily).alias("visit"),
    )
    return _with_intent(_with_user(rows, settings), settings)


def _with_user(rows: DataFrame, settings: SimulationSettings) -> DataFrame:
    chance = Chance(settings.seed)
    visit = (F.col("day"), F.col("visit"))
    place = F.floor(F.pow(chance.share("who", *visit), _ACTIVITY_EXPONENT) * settings.users).cast("long")
    placed = rows.withColumn("place", place)
    days_lived = F.col("day") + chance.below(USER_DAYS, "phase", F.col("place"))
    return placed.select(
        "*",
        (F.floor(days_lived / USER_DAYS) * settings.users + F.col("place")).alias("person"),
        (days_lived % USER_DAYS).alias("age"),
        chance.happens(_ANONYMOUS, "anonymous", *visit).alias("anonymous"),
    )


def _with_intent(rows: DataFrame, settings: SimulationSettings) -> DataFrame:
    """Add category, style, brand, time and length of the session.

    A journey moves one category on every 4 to 8 days, while style and brand stay. The order of categories therefore
    predicts the next one, and their co-occurrence does not.
    """
    chance, layout = Chance(settings.seed), CatalogLayout(settings.items)
    person, visit = F.col("person"), (F.col("day"), F.col("visit"))
    start = F.floor(F.pow(chance.share("journey", person), 1.4) * layout.categories)
    now = start + F.floor(F.col("age") / (4 + chance.below(5, "pace", person)))
    luck = chance.share("intent", *visit)
    category = (
        F.when(luck < 0.62, now)
        .when(luck < 0.76, now + 1)
        .when(luck < 0.90, chance.below(layout.categories, "side interest", person))
        .otherwise(chance.below(layout.categories, "whim", *visit))
    )
    hour = chance.share("hour", person) + 0.3 * (chance.share("early", *visit) + chance.share("late", *visit) - 1)
    return rows.select(
        "*",
        (category % layout.categories).cast("long").alias("category"),
        chance.below(layout.styles, "style", person).alias("style"),
        chance.below(layout.styles, "second style", person).alias("second_style"),
        chance.below(layout.brands, "brand", person).alias("brand"),
        F.floor(F.pmod(hour, F.lit(1.0)) * 84_000).cast("long").alias("start"),
        (1 + F.floor(F.pow(chance.share("length", *visit), 1.4) * 8)).cast("int").alias("length"),
        chance.happens(0.10, "searches", *visit).alias("searches"),
    )


def item_views(rows: DataFrame, settings: SimulationSettings) -> DataFrame:
    """Return one row per viewed item of a session: the session's columns, step (0-based), item (number)."""
    chance, layout = Chance(settings.seed), CatalogLayout(settings.items)
    steps = rows.select("*", F.explode(F.sequence(F.lit(0), F.col("length") - 1)).alias("step"))
    visit = (F.col("day"), F.col("visit"))
    # A companion of the previous item has the same style and brand, and is from the next category.
    goes_with = (F.col("step") > 0) & chance.happens(0.25, "companion", *visit, F.col("step"))
    steps = steps.withColumn("drawn", F.col("step") - F.when(goes_with, 1).otherwise(0))
    draw = (*visit, F.col("drawn"))
    luck = chance.share("style luck", *draw)
    style = (
        F.when(luck < 0.75, F.col("style"))
        .when(luck < 0.88, F.col("second_style"))
        .otherwise(chance.below(layout.styles, "any style", *draw))
    )
    category = (F.col("category") + (F.col("step") - F.col("drawn"))) % layout.categories
    placed = steps.withColumn("cell", (style * layout.categories + category).cast("long"))
    depth = layout.depth(F.col("cell"), catalog_size(settings, F.col("day")))
    return placed.withColumn("item", F.col("cell") + _depth_drawn(chance, layout, draw, depth) * layout.cells)


def _depth_drawn(chance: Chance, layout: CatalogLayout, draw: tuple[Column, ...], depth: Column) -> Column:
    """Return the depth in the cell: of the user's brand (55 %), the newest (8 %), else mostly low ones."""
    own = F.floor((depth - F.col("brand") + (layout.brands - 1)) / layout.brands)
    luck, skewed = chance.share("brand luck", *draw), F.pow(chance.share("depth", *draw), 1.6)
    branded = F.col("brand") + layout.brands * F.floor(own * skewed)
    drawn = F.when((luck < 0.55) & (own > 0), branded).when(luck < 0.63, depth - 1).otherwise(F.floor(depth * skewed))
    return drawn.cast("long")


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
