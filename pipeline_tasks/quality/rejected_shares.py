"""Rules on the share of rejected rows, and the cleaning rules that rejected most, with an example and a remedy.

This module does not import Great Expectations.
"""

import re
from datetime import date
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from great_expectations.expectations.expectation import Expectation
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.quality.gate_rules import Severity, no_rows_from
from pipeline_tasks.tables.silver_tables import CATALOG_OUTCOMES, EVENT_OUTCOMES, UNCLEANED, Outcomes

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
    "bots": "map a value that means no user to NULL in events.columns.user_key, raise "
    "NIGHTSHELF_CLEANING__BOT_EVENTS_PER_DAY, or take bots out of rules.on",
    "duplicate_item_id": "deliver one record of each item, or correct items.columns.item_id",
    "duplicate_user_key": "deliver one record of each user, or correct users.columns.user_key",
}
"""Rule -> remedy. Names with a dot are keys of the source's TOML file."""
_DEFAULT_REMEDY: Final = "correct the source's mapping or its files"

_MOST_RULES: Final = 3
_MOST_CHARACTERS: Final = 160
"""Length of an example."""
WARNING_SHARE: Final = 0.05
CRITICAL_SHARE: Final = 0.50
"""Shares of rejected rows: above the first a person should look, above the second the mapping is wrong."""
UNDATED_SHARE: Final = 0.01
"""Share of the delivery's events without a valid time above which a person should look."""
LEAST_ROWS: Final = 1_000
"""Rows from which on a day is evaluated alone. On a smaller day one bot or one bad export may be most of the rows."""
LEAST_REJECTED: Final = 10
"""Fewer rejected rows do not show a wrong mapping, whatever their share."""
_CORRECT: Final = "Correct the source's mapping or its files, then run that day again."
_UNCLEANED: Final = f"outcome IN {UNCLEANED}"
_WITHOUT_DUPLICATES: Final = "AND rule NOT LIKE 'duplicate_%'"


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


def rejected_share_rules() -> list[Expectation]:
    """Return the rules: over the whole delivery, for each day, and for each catalog over its own rows.

    A delivery is all days that one run cleaned and staged.
    """
    return [
        _delivery(WARNING_SHARE, "warning"),
        _delivery(CRITICAL_SHARE, "critical"),
        _day(WARNING_SHARE, "warning"),
        _day(CRITICAL_SHARE, "critical"),
        _undated(),
        *(_catalog(kind, names, WARNING_SHARE, "warning") for kind, names in CATALOG_OUTCOMES.items()),
        *(
            _catalog(kind, names, CRITICAL_SHARE, "critical", _WITHOUT_DUPLICATES)
            for kind, names in CATALOG_OUTCOMES.items()
        ),
    ]


def _delivery(bound: float, severity: Severity) -> Expectation:
    description = f"at most {bound:.0%} of the delivery's events are refused"
    return _share(description, EVENT_OUTCOMES, bound, severity, least=LEAST_REJECTED if severity == "critical" else 1)


def _undated() -> Expectation:
    listed = ", ".join(f"'{rule}'" for rule in WITHOUT_A_DAY)
    description = f"at most {UNDATED_SHARE:.0%} of the delivery's events have no readable or possible time"
    return _share(description, EVENT_OUTCOMES, UNDATED_SHARE, "warning", f"AND rule IN ({listed})")


def _catalog(kind: str, names: Outcomes, bound: float, severity: Severity, counted: str = "") -> Expectation:
    """Return a catalog's rule. The critical one ignores duplicates: another record describes that item or user."""
    description = f"at most {bound:.0%} of the delivered {kind} are refused"
    return _share(description, names, bound, severity, counted, LEAST_REJECTED if severity == "critical" else 1)


def _share(
    description: str, names: Outcomes, bound: float, severity: Severity, counted: str = "", least: int = 1
) -> Expectation:
    """Return the rule over all staged days; `counted` is a condition on the rejections that count."""
    refused = _sum(f"outcome = '{names.quarantine}' {counted}")
    rows_in = _sum(f"outcome = '{names.rows_in}'")
    if names is EVENT_OUTCOMES:
        # Rows that are not cleaned yet do not count.
        rows_in += f" - {_sum(_UNCLEANED)}"
    query = (
        f"SELECT refused, rows_in FROM (SELECT {refused} AS refused, {rows_in} AS rows_in "
        f"FROM {{batch}}) WHERE refused > {bound} * rows_in AND refused >= {least}"
    )
    return no_rows_from(description, query, "rows", _CORRECT, severity, shared_sql=True, refusals=names.quarantine)


def _day(bound: float, severity: Severity) -> Expectation:
    """Return the rule for each day. Rows without a valid time, booked on the day of the run, do not count here."""
    undated = ", ".join(f"'{rule}'" for rule in WITHOUT_A_DAY)
    refused = _sum(f"outcome = '{EVENT_OUTCOMES.quarantine}' AND rule NOT IN ({undated})")
    without = _sum(f"outcome = '{EVENT_OUTCOMES.quarantine}' AND rule IN ({undated})")
    all_rows = _sum(f"outcome = '{EVENT_OUTCOMES.rows_in}'")
    rows_in = f"{all_rows} - {without}"
    query = (
        f"SELECT ds, refused, rows_in FROM (SELECT ds, {refused} AS refused, {rows_in} AS rows_in FROM {{batch}} "
        f"GROUP BY ds) WHERE rows_in >= {LEAST_ROWS} AND refused > {bound} * rows_in ORDER BY refused DESC"
    )
    description = f"at most {bound:.0%} of the events of a day with {LEAST_ROWS:,} or more are refused"
    return no_rows_from(
        description, query, "rows", _CORRECT, severity, shared_sql=True, refusals=EVENT_OUTCOMES.quarantine
    )


def _sum(condition: str) -> str:
    return f"sum(CASE WHEN {condition} THEN rows ELSE 0 END)"
