"""Finds every row that is not an event: rejected by a rule, a duplicate of another row, or an event of a bot.

It takes one shuffle of seven narrow columns; the wide rows are not moved. Cleaning then drops the found rows by their
number and writes the others directly from the scan.
"""

from collections.abc import Sequence
from typing import Final

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline_tasks.config.settings import CleaningSettings
from pipeline_tasks.time_units import SECOND
from spark_jobs.cleaning.cleaning_rules import RULE
from spark_jobs.cleaning.map_events import RECORD, ROW

DUPLICATES: Final = ("exact_duplicates", "near_duplicates")
"""Rules whose rows are counted as duplicates; the rows of all other rules go to quarantine."""
COPY: Final = "_copy"
"""Number of an event among events with equal records, 0 for the first."""


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
