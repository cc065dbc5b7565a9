"""The lines of the simulated shop's log, with the faults of a real one, and its catalog as of a day."""

from datetime import date
from typing import Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.config.settings import SimulationSettings
from spark_jobs.simulation.shop_sessions import DAILY_NEW_ITEMS, OPENING
from spark_jobs.simulation.shop_words import BRANDS, CATEGORIES, COLORS, MATERIALS, STYLES, CatalogLayout, Chance, word


def catalog_lines(spark: SparkSession, settings: SimulationSettings, day: date) -> DataFrame:
    """Return ds and value (a line of JSON) of the items that exist on the day."""
    chance, layout = Chance(settings.seed), CatalogLayout(settings.items)
    grown = int(max((day - OPENING).days, 0) * (DAILY_NEW_ITEMS * settings.items))
    items = spark.range(0, settings.items + grown, 1, max(1, settings.items // 1_000_000)).withColumnRenamed(
        "id", "item"
    )
    item = F.col("item")
    twice = F.when(chance.happens(0.003, "twice", item), F.array(F.lit(0), F.lit(1))).otherwise(F.array(F.lit(0)))
    rows = items.select("item", F.explode(twice).alias("copy"))
    titled = F.when(~chance.happens(0.002, "untitled", item), _title(chance, layout, item))
    record = F.struct(
        F.concat(F.lit("P"), item).alias("sku"),
        titled.alias("name"),
        _category(layout, item).alias("category_path"),
        word(BRANDS, layout.brand(item)).alias("maker"),
        F.format_number(list_price(chance, item) + F.col("copy"), 2).alias("list_price"),
        _color(chance, item).alias("color"),
        _material(chance, item).alias("material"),
        word(STYLES, layout.style(item)).alias("style"),
    )
    return rows.select(F.lit(day).alias("ds"), F.to_json(record).alias("value"))


def _title(chance: Chance, layout: CatalogLayout, item: Column) -> Column:
    noun = word(tuple(noun for _, _, noun in CATEGORIES), layout.category(item))
    style, brand = word(STYLES, layout.style(item)), word(BRANDS, layout.brand(item))
    words = F.concat_ws(" ", style, _color(chance, item), _material(chance, item), noun)
    return F.concat(words, F.lit(" by "), brand)


def _category(layout: CatalogLayout, item: Column) -> Column:
    paths = tuple(" > ".join((department, shelf, f"{noun}s")) for department, shelf, noun in CATEGORIES)
    return word(paths, layout.category(item))


def _color(chance: Chance, item: Column) -> Column:
    return word(COLORS, chance.below(len(COLORS), "color", item))


def _material(chance: Chance, item: Column) -> Column:
    return word(MATERIALS, chance.below(len(MATERIALS), "material", item))


LATE: Final = 0.01


CANCELLED: Final = 0.06


BROKEN: Final = 0.005


COPIED: Final = 0.008


REPEATED: Final = 0.004


_ACTIONS: Final = (
    (0.13, ("impression",)),
    (0.60, ("view",)),
    (0.72, ("click",)),
    (0.88, ("view", "cart")),
    (1.01, ("view", "cart", "purchase")),
)
"""Upper bound of the random draw, and the events of the item up to it."""


_FIELDS: Final = (
    *("event_key", "time", "kind", "shopper", "session", "item", "search", "dwell", "price", "units", "place", "arm"),
)


def actions(viewed: DataFrame, settings: SimulationSettings) -> DataFrame:
    """Return one row per event: the columns of the viewed item, kind, nth (0-based, per item), at (seconds)."""
    chance = Chance(settings.seed)
    look = (F.col("day"), F.col("visit"), F.col("step"))
    luck = chance.share("action", *look)
    acts = F.array(*(F.lit(kind) for kind in _ACTIONS[-1][1]))
    for bound, kinds in reversed(_ACTIONS[:-1]):
        acts = F.when(luck < bound, F.array(*(F.lit(kind) for kind in kinds))).otherwise(acts)
    searched = (F.col("step") == 0) & F.col("searches")
    is_cancelled = ~F.col("anonymous") & (luck >= _ACTIONS[-2][0]) & chance.happens(CANCELLED, "cancel", *look)
    kinds = F.concat(
        F.when(searched, F.array(F.lit("search"))).otherwise(F.array().cast("array<string>")),
        acts,
        F.when(is_cancelled, F.array(F.lit("cancellation"))).otherwise(F.array().cast("array<string>")),
    )
    rows = viewed.select("*", F.posexplode(kinds).alias("nth", "kind"))
    at = F.col("start") + F.col("step") * 90 + F.col("nth") * 15 + chance.below(12, "pause", *look, F.col("nth"))
    later = F.when(F.col("kind") == "cancellation", 43_200 + chance.below(172_800, "regret", *look)).otherwise(0)
    return rows.withColumn("at", at + later)


def log_lines(acts: DataFrame, settings: SimulationSettings) -> DataFrame:
    """Return ds (the day of delivery) and value (one line of the log)."""
    chance = Chance(settings.seed)
    act = (F.col("day"), F.col("visit"), F.col("step"), F.col("nth"))
    copies = F.array_compact(
        F.array(
            F.lit(0),
            F.when(chance.happens(COPIED, "copied", *act), 1),
            F.when(chance.happens(REPEATED, "repeated", *act), 2),
        )
    )
    rows = acts.select("*", F.explode(copies).alias("copy"))
    fault = F.when(chance.happens(BROKEN, "broken", *act), chance.below(9, "fault", *act)).otherwise(-1)
    written = _fields(rows.withColumn("fault", fault), chance, CatalogLayout(settings.items), act)
    line = F.to_json(F.struct(*_FIELDS))
    line = F.when(F.col("fault") == 0, F.substring(line, 1, 60)).otherwise(line)
    line = F.when(F.col("fault") == 7, F.concat(line, F.unhex(F.lit("FFFE")).cast("string"))).otherwise(line)
    return written.select(F.col("delivered").alias("ds"), line.alias("value"))


def _fields(rows: DataFrame, chance: Chance, layout: CatalogLayout, act: tuple[Column, ...]) -> DataFrame:
    person, item, fault = F.col("person"), F.col("item"), F.col("fault")
    searching = F.col("kind") == "search"
    ordered = F.col("kind").isin("purchase", "cancellation")
    units = F.when(ordered, 1 + F.floor(chance.share("units", *act[:3]) * 1.3))
    price = F.when(searching, None).otherwise(F.format_number(list_price(chance, item), 2))
    return rows.select(
        "fault",
        _delivered(chance, act).alias("delivered"),
        F.hex(F.xxhash64(*act, F.col("copy") == 2)).alias("event_key"),
        _time(chance, act).alias("time"),
        F.when(fault == 6, "hover").otherwise(F.col("kind")).alias("kind"),
        F.when(~F.col("anonymous"), F.concat(F.lit("u"), person)).alias("shopper"),
        F.concat_ws("-", F.lit("s"), F.col("day"), F.col("visit")).alias("session"),
        F.when(~searching & (fault != 4), F.concat(F.lit("P"), item)).alias("item"),
        F.when(searching, _query(chance, layout, act)).alias("search"),
        F.when(F.col("kind") == "view", F.round(4 + 110 * F.pow(chance.share("dwell", *act), 2), 1)).alias("dwell"),
        F.when(fault == 3, F.concat(F.lit("-"), price))
        .when(fault == 5, "two pounds")
        .when(chance.happens(0.02, "currency", *act), F.concat(F.lit("£"), price))
        .otherwise(price)
        .alias("price"),
        units.cast("int").alias("units"),
        F.when(F.col("kind").isin("impression", "view", "click"), 1 + chance.below(24, "place", *act)).alias("place"),
        F.when(chance.happens(0.5, "arm", person), "control").otherwise("treatment").alias("arm"),
    )


def _delivered(chance: Chance, act: tuple[Column, ...]) -> Column:
    happened = F.col("day") + F.floor(F.col("at") / 86_400)
    late = chance.happens(LATE, "late", *act) & (F.col("kind") != "cancellation")
    return F.date_from_unix_date((happened + F.when(late, 1).otherwise(0)).cast("int"))


def _time(chance: Chance, act: tuple[Column, ...]) -> Column:
    millis = chance.below(600, "millis", *act) + F.when(F.col("copy") == 2, 300).otherwise(0)
    at = F.timestamp_millis((F.col("day").cast("long") * 86_400 + F.col("at")) * 1_000 + millis)
    text = F.date_format(at, "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'")
    return (
        F.when(F.col("fault") == 1, "31/02/2026 25:61")
        .when(F.col("fault") == 2, F.concat(F.lit("2099"), F.substring(text, 5, 30)))
        .when(F.col("fault") == 8, "1970-01-01T00:00:00.000Z")
        .otherwise(text)
    )


def _query(chance: Chance, layout: CatalogLayout, act: tuple[Column, ...]) -> Column:
    nouns = tuple(noun for _, _, noun in CATEGORIES)
    text = F.concat_ws(" ", word(STYLES, layout.style(F.col("item"))), word(nouns, layout.category(F.col("item"))))
    luck = chance.share("typing", *act)
    recased = F.when(luck < 0.2, F.upper(text)).when(luck < 0.7, F.lower(text)).otherwise(F.concat(F.lit("  "), text))
    return F.when(luck > 0.93, F.replace(F.lower(text), F.lit("e"))).otherwise(recased)


def list_price(chance: Chance, item: Column) -> Column:
    """Return the item's price: 4 to about 250, most below 60."""
    return F.round(4 + 245 * F.pow(chance.share("price", item), 3), 2)
