"""The catalog of the simulated shop as of a day."""

from datetime import date

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.config.settings import SimulationSettings
from spark_jobs.simulation.shop_chance import Chance
from spark_jobs.simulation.shop_log import list_price
from spark_jobs.simulation.shop_sessions import DAILY_NEW_ITEMS, OPENING
from spark_jobs.simulation.shop_words import BRANDS, CATEGORIES, COLORS, MATERIALS, STYLES, CatalogLayout, word


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
