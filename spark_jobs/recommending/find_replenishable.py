"""Finds the replenishable items, which a user may be offered again as soon as they were bought."""

import json

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.config.business_rules import ReplenishRules
from spark_jobs.landing.event_days import day_number


def find_replenishable(
    rules: ReplenishRules, catalog: pa.Table, sequences: DataFrame, zone: str | None = None
) -> set[str]:
    """Return the ids of the replenishable items: by the attribute that the rules name, else by repurchases.

    Raises:
        ValueError: no item has the attribute that the rules name.
    """
    if rules.attribute is None:
        return {row["item_id"] for row in frequently_repurchased(rules, sequences, zone).collect()}
    values = _attribute(catalog, rules.attribute)
    if not values:
        raise ValueError(
            f"No item has the attribute {rules.attribute!r} that replenishable.attribute of the business rules names: "
            "correct the name, or leave it out to let repurchases decide"
        )
    return {item_id for item_id, value in values.items() if str(value).lower() in ("true", "1", "yes")}


def frequently_repurchased(rules: ReplenishRules, sequences: DataFrame, zone: str | None = None) -> DataFrame:
    """Return the item_id of items that at least `repurchase_share` of their known buyers bought on several days."""
    event = F.explode(F.arrays_zip("item_ids", "event_types", "timestamps")).alias("event")
    buyers = (
        sequences.where(F.col("user_key").isNotNull() & F.array_contains("event_types", "purchase"))
        .select("user_key", event)
        .where(F.col("event.event_types") == "purchase")
        .groupBy("user_key", F.col("event.item_ids").alias("item_id"))
        .agg(
            F.min(day_number("event.timestamps", zone)).alias("first"),
            F.max(day_number("event.timestamps", zone)).alias("last"),
        )
    )
    shares = buyers.groupBy("item_id").agg(
        F.count(F.lit(1)).alias("buyers"), F.avg((F.col("last") > F.col("first")).cast("double")).alias("again")
    )
    return shares.where((F.col("buyers") >= rules.min_buyers) & (F.col("again") >= rules.repurchase_share)).select(
        "item_id"
    )


def _attribute(catalog: pa.Table, name: str) -> dict[str, object]:
    found = {}
    for item_id, text in zip(catalog["item_id"].to_pylist(), catalog["attributes"].to_pylist(), strict=True):
        attributes = json.loads(text) if text else {}
        if name in attributes:
            found[item_id] = attributes[name]
    return found
