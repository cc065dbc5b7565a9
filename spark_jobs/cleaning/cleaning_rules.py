"""The rules of cleaning, in order, and the rows that they reject: the first rule that a record breaks rejects it.

Finding these rows takes one shuffle of seven narrow columns; the wide rows are not moved. Cleaning then drops them by
their number and writes the others directly from the scan.
"""

from collections.abc import Sequence
from typing import Final

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline_tasks.config.settings import HIGHEST_QUANTITY, HIGHEST_RATING, LONGEST_DWELL, CleaningSettings
from pipeline_tasks.config.source_toml import Rules
from pipeline_tasks.tables.contracts import EVENT_TYPES, TABLES
from pipeline_tasks.times import SECOND
from spark_jobs.cleaning.map_events import NUMBERS, RECORD, ROW, UNREADABLE
from spark_jobs.common.expression_tokens import quoted
from spark_jobs.landing.event_days import day_of
from spark_jobs.landing.read_records import CORRUPT, SOURCE_FILE

RULE: Final = "_rule"
"""Name of the rule that rejects the record, NULL for none."""

_ORDERED: Final = ("purchase", "cancellation")
RAW: Final = "_raw"
DUPLICATES: Final = ("exact_duplicates", "near_duplicates")
"""Rules whose rows are counted as duplicates; the rows of all other rules go to quarantine."""
COPY: Final = "_copy"
"""Number of an event among events with equal records, 0 for the first."""


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


def raw_text(landed: DataFrame, longest: int) -> Column:
    """Return `_raw`, a record of `landed` as text: unchanged where it could not be parsed, else as JSON."""
    own = [quoted(name) for name in landed.columns if not name.startswith("_") and name not in ("ds", "arrived")]
    as_json = F.to_json(F.struct(*own), {"ignoreNullFields": "true"})
    return F.substring(F.coalesce(F.col(CORRUPT), as_json), 1, longest).alias(RAW)


def quarantine_rows(refused: DataFrame) -> DataFrame:
    """Return the rows of `quarantine` for records with `_raw`, `_rule` and `detail`."""
    return refused.select(
        F.col(RAW).alias("raw"),
        F.col(RULE).alias("rule"),
        "detail",
        F.regexp_replace(SOURCE_FILE, "^file:(//)?", "").alias("source_file"),
        "ds",
    ).select(*TABLES["quarantine"].column_names)


def find_rejected_rows(marked: DataFrame, active_rules: Sequence[str], limits: CleaningSettings) -> DataFrame:
    """Return (_row, ds, _rule) of all rows of `marked` that are not events, one rule each.

    While the rule `exact_duplicates` is off, equal records are separate events. The result then has the column `_copy`,
    and also the rows with a `_copy` above 0, for which `_rule` is NULL.
    """
    narrow = marked.select(
        ROW, RECORD, RULE, "ds", "ts", _actor_key().alias("actor"), _similarity_key(active_rules).alias("alike")
    )
    by_actor_rows = narrow.repartition("actor")
    # Row numbers begin with the day of arrival, so the earliest delivery comes first.
    alike = Window.partitionBy("actor", "alike").orderBy("ts", RECORD, ROW)
    # One sort serves both windows: the partition of by_actor is a prefix of that of alike.
    by_actor = Window.partitionBy("actor")
    compared = by_actor_rows.select(
        "*",
        (F.lag(RECORD).over(alike) == F.col(RECORD)).alias("same"),
        ((F.unix_micros("ts") - F.unix_micros(F.lag("ts").over(alike))) <= _near_micros(limits)).alias("near"),
    )
    counted = compared.select(
        "*", F.count(F.when(F.col(RULE).isNull() & ~_is_true("same"), 1)).over(by_actor).alias("busy")
    )
    rule = F.coalesce(
        F.col(RULE),
        *(F.when(is_broken, F.lit(name)) for name, is_broken in _duplicate_rules(limits) if name in active_rules),
    )
    if "exact_duplicates" in active_rules:
        return counted.select(ROW, "ds", rule.alias(RULE)).where(F.col(RULE).isNotNull())
    # Numbered by arrival, so that a later delivery does not change the numbers of earlier copies.
    equal = Window.partitionBy("actor", "alike", RECORD).orderBy(ROW)
    numbered = counted.select(ROW, "ds", rule.alias(RULE), (F.row_number().over(equal) - 1).alias(COPY))
    return numbered.where(F.col(RULE).isNotNull() | (F.col(COPY) > 0))


def _duplicate_rules(limits: CleaningSettings) -> list[tuple[str, Column]]:
    return [
        ("exact_duplicates", _is_true("same")),
        ("bots", F.col("busy") > limits.bot_events_per_day),
        ("near_duplicates", _is_true("near")),
    ]


def _actor_key() -> Column:
    """Return a number for the actor of a day: the user, else the session, else the record itself.

    An unknown actor must not share a number with other unknown actors. The day is part of the hash, so that sorting
    compares 64 bits that differ and not a day that all rows share.
    """
    known = F.coalesce(F.col("user_key"), F.concat(F.lit("session:"), F.col("session_id")))
    return F.when(F.col(RULE).isNull() & known.isNotNull(), F.xxhash64("ds", known)).otherwise(F.xxhash64("ds", RECORD))


def _similarity_key(active_rules: Sequence[str]) -> Column:
    """Return a number that is equal for rows that may be duplicates. A rejected row is a duplicate of none."""
    near = "near_duplicates" in active_rules
    known = F.col("user_key").isNotNull() | F.col("session_id").isNotNull()
    same_act = F.xxhash64("item_id", "event_type", F.coalesce(F.col("query"), F.lit("")))
    return F.when(F.col(RULE).isNotNull(), F.col(ROW)).when(F.lit(near) & known, same_act).otherwise(F.col(RECORD))


def _near_micros(limits: CleaningSettings) -> int:
    return round(limits.near_duplicate_seconds * SECOND)


def _is_true(name: str) -> Column:
    return F.coalesce(F.col(name), F.lit(False))
