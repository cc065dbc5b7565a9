"""The cleaning rules that rejected most rows, with an example and a remedy for each: for the message of a gate.

This module does not import Great Expectations.
"""

import re
from datetime import date
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

WITHOUT_A_DAY: Final = ("unparsable_time", "impossible_time", "corrupt_record")
"""Rules that reject a record because it has no valid time, so it belongs to no day."""

REMEDIES: Final = {
    "corrupt_record": "correct the file, or its format, options (sep, quote, encoding) and fields in the TOML",
    "unparsable_time": "correct events.columns.ts: to_timestamp(column, 'dd/MM/yyyy HH:mm') reads another form, "
    "timestamp_seconds(…) seconds, timestamp_millis(…) thousandths",
    "impossible_time": "correct events.columns.ts; rules.earliest and rules.late_days set what is possible",
    "unknown_event_type": "map the value in events.columns.event_type, or leave such rows out by events.where",
    "missing_item": "correct events.columns.item_id (items.columns.item_id), or leave such rows out by where",
    "missing_user": "correct users.columns.user_key, or leave such rows out by users.where",
    "unparsable_number": "correct the expression of that column in events.columns",
    "impossible_number": "correct the expression of that column in events.columns; rules.highest_price bounds prices",
    "known_user": "map events.columns.user_key, or take known_user out of rules.on",
    "service_codes": "shorten rules.service_codes, or take service_codes out of rules.on",
    "positive_quantity": "correct events.columns.quantity, or take positive_quantity out of rules.on",
    "positive_price": "correct events.columns.price, or take positive_price out of rules.on",
    "bots": "map a value that stands for nobody to NULL in events.columns.user_key, raise "
    "NIGHTSHELF_CLEANING__BOT_EVENTS_PER_DAY, or take bots out of rules.on",
    "duplicate_item_id": "deliver one record of each item, or correct items.columns.item_id",
    "duplicate_user_key": "deliver one record of each user, or correct users.columns.user_key",
}
"""Rule -> remedy. Names with a dot are keys of the source's TOML file."""
_DEFAULT_REMEDY: Final = "correct the source's mapping or its files"

_MOST_RULES: Final = 3
_MOST_CHARACTERS: Final = 160
"""Length of an example."""


class RejectionSummary(NamedTuple):
    """Two parts of a finding: what was observed, and what to do."""

    observed: str
    remedy: str


def summarize_rejections(counts: DataFrame, outcome: str, day: date | None) -> RejectionSummary:
    """Return the rules that rejected most rows, with examples, and their remedies; empty texts without rejections.

    Args:
        counts: the table `reconciliation`. The view `quarantine` must hold the rejected records.
        outcome: the outcome that counts the rejected rows of events, items or users.
        day: the day to summarize, without records that have no valid time; None for the whole delivery.
    """
    wanted = F.col("outcome") == outcome
    if day is not None:
        wanted = wanted & (F.col("ds") == F.lit(day)) & ~F.col("rule").isin(*WITHOUT_A_DAY)
    by_rule = counts.where(wanted & (F.col("rows") > 0)).groupBy("rule").agg(F.sum("rows").alias("n"))
    found = [(row["rule"], row["n"]) for row in by_rule.orderBy(F.desc("n"), "rule").limit(_MOST_RULES).collect()]
    if not found:
        return RejectionSummary("", "")
    quarantine = counts.sparkSession.table("quarantine")
    examples = _examples(quarantine, [rule for rule, _ in found], day)
    named = [f"{rule} {rows:,} rows{_example(examples, rule)}" for rule, rows in found]
    remedies = [f"{rule}: {remedy_of(rule)}" for rule, _ in found]
    return RejectionSummary(
        f"refused most by {'; '.join(named)}", f"{'; '.join(remedies)}. {_query(quarantine)}".strip()
    )


def remedy_of(rule: str) -> str:
    """Return what a shop can do about records that the cleaning rule `rule` rejected."""
    return REMEDIES.get(rule, _DEFAULT_REMEDY)


def _examples(quarantine: DataFrame, rules: list[str], day: date | None) -> dict[str, Any]:
    """Return for each rule its most frequent detail, with a record where the detail names no value."""
    rows = quarantine.where(F.col("rule").isin(*rules))
    rows = rows if day is None else rows.where(F.col("ds") == F.lit(day))
    detail = F.mode("detail", deterministic=True)
    found = rows.groupBy("rule").agg(detail.alias("detail"), F.min("raw").alias("raw")).collect()
    return {
        row["rule"]: row["detail"] if "=" in (row["detail"] or "") else " in ".join(filter(None, row[1:]))
        for row in found
    }


def _example(examples: dict[str, Any], rule: str) -> str:
    text = " ".join(str(examples.get(rule) or "").split())
    return f", e.g. {text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + '…'}" if text else ""


def _query(quarantine: DataFrame) -> str:
    """Return the command that shows the rejected rows. It reads the staged files, because nothing was published."""
    files = [unquote(file).removeprefix("file://") for file in quarantine.inputFiles()]
    if not files:
        return ""
    # All files of a staged table are below one folder, each in the folder of its day.
    folder = re.sub(r"([*?\[])", r"[\1]", files[0].rpartition("/_ds=")[0] or files[0].rpartition("/")[0])
    quoted = folder.replace("'", "''")
    rows = f"read_parquet('{quoted}/**/*.parquet', hive_partitioning = false)"
    query = f"SELECT rule, detail, count(*) AS n, any_value(raw) AS example FROM {rows} GROUP BY ALL ORDER BY n DESC"
    escaped = re.sub(r'([$`"\\])', r"\\\1", query)
    return f'To see them: nightshelf sql "{escaped}"'
