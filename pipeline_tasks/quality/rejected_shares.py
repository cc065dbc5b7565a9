"""Rules of the table `reconciliation` on the share of refused rows."""

from typing import Final

from great_expectations.expectations.expectation import Expectation

from pipeline_tasks.quality.gate_rules import Severity, finds_nothing
from pipeline_tasks.quality.rule_remedies import WITHOUT_A_DAY
from pipeline_tasks.tables.reconciliation_outcomes import CATALOGS, EVENTS, UNCLEANED, Outcomes

WARNING_SHARE: Final = 0.05
CRITICAL_SHARE: Final = 0.50
"""Shares of refused rows: above the first somebody should look, above the second the mapping is wrong."""
UNDATED_SHARE: Final = 0.01
"""Share of the delivery's events without a day of their own above which somebody should look."""
LEAST_ROWS: Final = 1_000
"""A day is judged by itself from so many rows on: in fewer, one robot or one bad export is most of the day."""
LEAST_REFUSED: Final = 10
"""So few refused rows say nothing about a mapping, whatever their share is."""

_CORRECT: Final = "Correct the source's mapping or its files, then run the night again."
_UNCLEANED: Final = f"outcome IN {UNCLEANED}"
_OF_CATALOGS: Final = "AND rule NOT LIKE 'duplicate_%'"


def refused_share_rules() -> list[Expectation]:
    """Return the rules: over all days of the delivery, by day, and for each catalog against its own rows.

    A delivery is what one run cleans: all staged days together.
    """
    return [
        _delivery(WARNING_SHARE, "warning"),
        _delivery(CRITICAL_SHARE, "critical"),
        _day(WARNING_SHARE, "warning"),
        _day(CRITICAL_SHARE, "critical"),
        _undated(),
        *(_catalog(kind, names, WARNING_SHARE, "warning") for kind, names in CATALOGS.items()),
        *(_catalog(kind, names, CRITICAL_SHARE, "critical", _OF_CATALOGS) for kind, names in CATALOGS.items()),
    ]


def _delivery(bound: float, severity: Severity) -> Expectation:
    says = f"at most {bound:.0%} of the delivery's events are refused"
    return _share(says, EVENTS, bound, severity, least=LEAST_REFUSED if severity == "critical" else 1)


def _undated() -> Expectation:
    listed = ", ".join(f"'{rule}'" for rule in WITHOUT_A_DAY)
    says = f"at most {UNDATED_SHARE:.0%} of the delivery's events have no readable or possible time"
    return _share(says, EVENTS, UNDATED_SHARE, "warning", f"AND rule IN ({listed})")


def _catalog(kind: str, names: Outcomes, bound: float, severity: Severity, counted: str = "") -> Expectation:
    """Further records of a key are no reason to close a gate: the item or user is described by another record."""
    says = f"at most {bound:.0%} of the delivered {kind} are refused"
    return _share(says, names, bound, severity, counted, LEAST_REFUSED if severity == "critical" else 1)


def _share(
    says: str, names: Outcomes, bound: float, severity: Severity, counted: str = "", least: int = 1
) -> Expectation:
    """Return the rule over all staged days; `counted` narrows the rules that count as refused."""
    refused = _sum(f"outcome = '{names.quarantine}' {counted}")
    rows_in = _sum(f"outcome = '{names.rows_in}'")
    if names is EVENTS:
        # Rows that no night has cleaned yet are not judged.
        rows_in += f" - {_sum(_UNCLEANED)}"
    query = (
        f"SELECT refused, rows_in FROM (SELECT {refused} AS refused, {rows_in} AS rows_in "
        f"FROM {{batch}}) WHERE refused > {bound} * rows_in AND refused >= {least}"
    )
    return finds_nothing(says, query, "rows", _CORRECT, severity, shared_sql=True, refusals=names.quarantine)


def _day(bound: float, severity: Severity) -> Expectation:
    """Rows without a day of their own are booked on the day of the run; here they count neither way."""
    undated = ", ".join(f"'{rule}'" for rule in WITHOUT_A_DAY)
    refused = _sum(f"outcome = '{EVENTS.quarantine}' AND rule NOT IN ({undated})")
    without = _sum(f"outcome = '{EVENTS.quarantine}' AND rule IN ({undated})")
    all_rows = _sum(f"outcome = '{EVENTS.rows_in}'")
    rows_in = f"{all_rows} - {without}"
    query = (
        f"SELECT ds, refused, rows_in FROM (SELECT ds, {refused} AS refused, {rows_in} AS rows_in FROM {{batch}} "
        f"GROUP BY ds) WHERE rows_in >= {LEAST_ROWS} AND refused > {bound} * rows_in ORDER BY refused DESC"
    )
    says = f"at most {bound:.0%} of the events of a day with {LEAST_ROWS:,} or more are refused"
    return finds_nothing(says, query, "rows", _CORRECT, severity, shared_sql=True, refusals=EVENTS.quarantine)


def _sum(condition: str) -> str:
    return f"sum(CASE WHEN {condition} THEN rows ELSE 0 END)"
