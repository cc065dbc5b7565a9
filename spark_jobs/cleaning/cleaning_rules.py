"""The rules that depend on one record alone, in order; the first rule that a record breaks rejects it."""

from collections.abc import Sequence
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.config.source_toml import Rules
from pipeline_tasks.config.value_bounds import HIGHEST_QUANTITY, HIGHEST_RATING, LONGEST_DWELL
from pipeline_tasks.tables.contracts import EVENT_TYPES
from spark_jobs.cleaning.map_events import NUMBERS, UNREADABLE
from spark_jobs.landing.event_days import day_of
from spark_jobs.landing.read_records import CORRUPT

RULE: Final = "_rule"
"""Name of the rule that rejects the record, NULL for none."""

_ORDERED: Final = ("purchase", "cancellation")


def normalize_values(events: DataFrame, active_rules: Sequence[str]) -> DataFrame:
    """Fill quantities before the rules are applied: an ordered item without a quantity counts as one unit.

    While the rule `cancellations` is active, the quantity of a cancellation is positive, whatever sign the shop uses.
    """
    quantity = F.coalesce("quantity", F.when(F.col("event_type").isin(*_ORDERED), F.lit(1.0)))
    if "cancellations" in active_rules:
        quantity = F.when(F.col("event_type") == "cancellation", F.abs(quantity)).otherwise(quantity)
    return events.withColumn("quantity", quantity)


def apply_rules(events: DataFrame, rules: Rules, active_rules: Sequence[str], zone: str | None = None) -> DataFrame:
    """Add `_rule`; `zone` is the time zone of the shop's days, None for UTC."""
    rule = F.lit(None).cast("string")
    for name, refuses in reversed(_refusals(rules, active_rules, zone)):
        rule = F.when(refuses, F.lit(name)).otherwise(rule)
    return events.withColumn(RULE, rule)


def detail() -> Column:
    """Return a text of the columns and values that broke the rule."""
    shown = {
        "unknown_event_type": ["event_type"],
        "impossible_time": ["ts"],
        "impossible_number": list(NUMBERS),
        "service_codes": ["item_id"],
        "positive_quantity": ["quantity"],
        "positive_price": ["price"],
        "bots": ["user_key", "session_id"],
    }
    text = F.when(F.col(RULE) == "unparsable_number", F.col(UNREADABLE))
    for rule, columns in shown.items():
        parts = [F.concat(F.lit(f"{name}="), F.col(name).cast("string")) for name in columns]
        text = text.when(F.col(RULE) == rule, F.concat_ws(" ", *parts))
    return text


def _refusals(rules: Rules, active_rules: Sequence[str], zone: str | None) -> list[tuple[str, Column]]:
    always = [
        ("corrupt_record", F.col(CORRUPT).isNotNull()),
        ("unparsable_time", F.col("ts").isNull()),
        # Landing files a record under its day of delivery when its own day is impossible.
        ("impossible_time", day_of("ts", zone) != F.col("ds")),
        ("unknown_event_type", ~F.coalesce(F.col("event_type").isin(*EVENT_TYPES), F.lit(False))),
        ("missing_item", F.col("item_id").isNull() & (F.col("event_type") != "search")),
        ("unparsable_number", F.col(UNREADABLE).isNotNull()),
        ("impossible_number", _impossible_number(rules)),
    ]
    codes = "|".join(f"(?:{code})" for code in rules.service_codes)
    switched = [
        ("known_user", F.col("user_key").isNull()),
        ("service_codes", F.col("item_id").rlike(f"^(?:{codes})$") if codes else F.lit(False)),
        ("positive_quantity", F.col("quantity") <= 0),
        ("positive_price", F.col("price") <= 0),
    ]
    return always + [(name, refuses) for name, refuses in switched if name in active_rules]


def _impossible_number(rules: Rules) -> Column:
    # Spark treats NaN as greater than any number, so each upper bound rejects it.
    return (
        (F.col("price") < 0)
        | (F.col("price") > rules.highest_price)
        | (F.abs("quantity") > HIGHEST_QUANTITY)
        | (F.col("dwell_seconds") < 0)
        | (F.col("dwell_seconds") > LONGEST_DWELL)
        | (F.col("position") < 1)
        | (F.abs("rating") > HIGHEST_RATING)
    )
