"""Counts the landed records that a run does not clean: those of days after it, and those before its window."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple

import pyarrow as pa

from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.staging import StagedTable
from pipeline_tasks.sources.landing import Ledger
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema
from pipeline_tasks.tables.silver_tables import BEFORE_WINDOW, EVENT_OUTCOMES, WAITING

_NAME: Final = "reconciliation"


class CountedDay(NamedTuple):
    """Counts of a day in the published reconciliation."""

    rows_in: int
    cleaned: bool
    fingerprint: str


CountedDays = Mapping[date, CountedDay]


def counts_outside_window(lake: Lake, window: Sequence[date]) -> CountedDays:
    """Return the counted days before and after the window."""
    spans = (date.min, window[0] - timedelta(days=1)), (window[-1] + timedelta(days=1), date.max)
    read = [lake.read(_NAME, span, ("ds", "outcome", "rows", "fingerprint")).to_pylist() for span in spans]
    rows = [row for part in read for row in part]
    cleaned = {row["ds"] for row in rows if row["outcome"] == EVENT_OUTCOMES.accepted}
    # A day with catalogs alone has no `rows_in`.
    events = [row for row in rows if row["outcome"] == EVENT_OUTCOMES.rows_in]
    return {row["ds"]: CountedDay(row["rows"], row["ds"] in cleaned, row["fingerprint"]) for row in events}


def grown_days(ledger: Ledger, counted: CountedDays, window: Sequence[date]) -> list[date]:
    """Return the cleaned days before the window for which late records were landed since."""
    before = {day: counts for day, counts in counted.items() if day < window[0] and counts.cleaned}
    return sorted(day for day, counts in before.items() if ledger.rows(day) > counts.rows_in)


def count_uncleaned(
    tables: Mapping[str, StagedTable], lake: Lake, ledger: Ledger, counted: CountedDays, window: Sequence[date]
) -> dict[str, StagedTable]:
    """Return the staged reconciliation with the counts of days that no run has cleaned; empty where none changed.

    The counts of a day that another run cleaned stay as that run wrote them.
    """
    staged = tables.get(_NAME, StagedTable(days=[], files=[], rows=0))
    cleaned = {*window, *staged.days, *(day for day, counts in counted.items() if counts.cleaned)}
    uncleaned = [day for day in ledger.days() if day not in cleaned]
    outcomes = {day: WAITING if day > window[-1] else BEFORE_WINDOW for day in uncleaned}
    fingerprints = {day: f"{outcome} {ledger.content(day)}" for day, outcome in outcomes.items()}
    before = {day: counts.fingerprint for day, counts in counted.items() if day not in cleaned}
    # A day without landed records any more has a published fingerprint and no new one: its counts are removed.
    changed = sorted(day for day in fingerprints.keys() | before.keys() if fingerprints.get(day) != before.get(day))
    rows = [
        {"outcome": outcome, "rule": "all", "rows": ledger.rows(day), "fingerprint": fingerprints[day], "ds": day}
        for day in changed
        if day in fingerprints
        for outcome in (EVENT_OUTCOMES.rows_in, outcomes[day])
    ]
    _print_before_window(ledger, [day for day in uncleaned if day < window[0]])
    if not changed:
        return {}
    files = lake.write_arrow(_NAME, pa.Table.from_pylist(rows, schema=arrow_schema(TABLES[_NAME])))
    together = StagedTable(days=[*staged.days, *changed], files=[*staged.files, *files], rows=staged.rows + len(rows))
    return {_NAME: together}


def _print_before_window(ledger: Ledger, days: Sequence[date]) -> None:
    if days:
        rows = sum(ledger.rows(day) for day in days)
        print(
            f"{rows} landed records are of days before the window ({days[0]} to {days[-1]}): they are counted as "
            f"{BEFORE_WINDOW}, and cleaned by a run with these days in its window (--window-days)"
        )
