"""Rules of the table `reconciliation` on the share of rejected rows."""

from typing import Final

from great_expectations.expectations.expectation import Expectation

from pipeline_tasks.quality.commonest_rejections import WITHOUT_A_DAY
from pipeline_tasks.quality.gate_rules import Severity, no_rows_from
from pipeline_tasks.tables.reconciliation_outcomes import CATALOGS, EVENTS, UNCLEANED, Outcomes

WARNING_SHARE: Final = 0.05
CRITICAL_SHARE: Final = 0.50
"""Shares of rejected rows: above the first a person should look, above the second the mapping is wrong."""
UNDATED_SHARE: Final = 0.01
"""Share of the delivery's events without a valid time above which a person should look."""
LEAST_ROWS: Final = 1_000
"""Rows from which on a day is judged alone. On a smaller day one bot or one bad export may be most of the rows."""
LEAST_REJECTED: Final = 10
"""Fewer rejected rows are no evidence of a wrong mapping, whatever their share."""

_CORRECT: Final = "Correct the source's mapping or its files, then run that day again."
_UNCLEANED: Final = f"outcome IN {UNCLEANED}"
_WITHOUT_DUPLICATES: Final = "AND rule NOT LIKE 'duplicate_%'"


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
        *(_catalog(kind, names, WARNING_SHARE, "warning") for kind, names in CATALOGS.items()),
        *(_catalog(kind, names, CRITICAL_SHARE, "critical", _WITHOUT_DUPLICATES) for kind, names in CATALOGS.items()),
    ]


def _delivery(bound: float, severity: Severity) -> Expectation:
    description = f"at most {bound:.0%} of the delivery's events are refused"
    return _share(description, EVENTS, bound, severity, least=LEAST_REJECTED if severity == "critical" else 1)


def _undated() -> Expectation:
    listed = ", ".join(f"'{rule}'" for rule in WITHOUT_A_DAY)
    description = f"at most {UNDATED_SHARE:.0%} of the delivery's events have no readable or possible time"
    return _share(description, EVENTS, UNDATED_SHARE, "warning", f"AND rule IN ({listed})")


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
    if names is EVENTS:
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
    refused = _sum(f"outcome = '{EVENTS.quarantine}' AND rule NOT IN ({undated})")
    without = _sum(f"outcome = '{EVENTS.quarantine}' AND rule IN ({undated})")
    all_rows = _sum(f"outcome = '{EVENTS.rows_in}'")
    rows_in = f"{all_rows} - {without}"
    query = (
        f"SELECT ds, refused, rows_in FROM (SELECT ds, {refused} AS refused, {rows_in} AS rows_in FROM {{batch}} "
        f"GROUP BY ds) WHERE rows_in >= {LEAST_ROWS} AND refused > {bound} * rows_in ORDER BY refused DESC"
    )
    description = f"at most {bound:.0%} of the events of a day with {LEAST_ROWS:,} or more are refused"
    return no_rows_from(description, query, "rows", _CORRECT, severity, shared_sql=True, refusals=EVENTS.quarantine)


def _sum(condition: str) -> str:
    return f"sum(CASE WHEN {condition} THEN rows ELSE 0 END)"
