"""Corrects the counts in `reconciliation` after rows of events and quarantine were erased."""

from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import Any, Final

import pyarrow as pa

from pipeline_tasks.lake.lake import Lake, NewDays
from pipeline_tasks.maintenance.table_files import data_files, day_of
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.reconciliation_outcomes import CATALOGS, EVENTS
from pipeline_tasks.tables.schemas import arrow_schema

RECONCILIATION: Final = "reconciliation"
_CATALOG: Final = "catalog"
_ROWS_IN: Final = {outcome: names.rows_in for names in (EVENTS, *CATALOGS.values()) for outcome in names}
"""Outcome -> the outcome that counts all rows of the same kind."""
_QUARANTINES: Final = (EVENTS.quarantine, *(names.quarantine for names in CATALOGS.values()))
Rows = list[dict[str, Any]]


def recount_days(lake: Lake) -> NewDays | None:
    """Write the days with counts that differ from the rows in the lake, and return them; None for no such day.

    Erased rows are subtracted from rows_in as well, as if they had never been delivered. Duplicates stay counted.
    """
    table = lake.read(RECONCILIATION)
    by_day: dict[date, Rows] = {}
    for row in table.to_pylist():
        by_day.setdefault(row["ds"], []).append(row)
    events, rejected = _file_rows(lake, "events"), _rejected(lake)
    new = {day: _recounted(rows, events[day], rejected.get(day, Counter())) for day, rows in by_day.items()}
    changed = sorted(day for day, rows in new.items() if rows != by_day[day])
    if not changed:
        return None
    rows = pa.Table.from_pylist([row for day in changed for row in new[day]], arrow_schema(TABLES[RECONCILIATION]))
    return NewDays(changed, lake.write_arrow(RECONCILIATION, rows))


def _recounted(rows: Rows, events: int, rejected: Counter[str]) -> Rows:
    """Return the counts of a day that fit its numbers of events and of rejected rows by rule."""
    missing = _missing(rows, rejected)
    counted = [dict(row) for row in rows]
    # A rule may reject rows of several kinds. Erased rows are subtracted from the first kind, the events, first.
    for row in counted:
        if row["outcome"] == EVENTS.accepted:
            row["rows"] = events
        elif row["outcome"] in _QUARANTINES:
            less = min(row["rows"], missing[row["rule"]])
            row["rows"] -= less
            missing[row["rule"]] -= less
    totals: Counter[str] = Counter()
    for row in counted:
        if row["outcome"] not in _ROWS_IN.values():
            totals[_ROWS_IN.get(row["outcome"], EVENTS.rows_in)] += row["rows"]
    return [row | {"rows": totals[row["outcome"]]} if row["outcome"] in _ROWS_IN.values() else row for row in counted]


def _missing(rows: Rows, rejected: Counter[str]) -> Counter[str]:
    """Return by rule how many rejected rows are counted but no longer in quarantine.

    Days of earlier versions count all rejected records of catalogs under one rule, `catalog`.
    """
    counted: Counter[str] = Counter()
    for row in rows:
        if row["outcome"] in _QUARANTINES:
            counted[row["rule"]] += row["rows"]
    missing = counted - rejected
    if _CATALOG in counted:
        missing[_CATALOG] = 0
        missing[_CATALOG] = counted.total() - rejected.total() - missing.total()
    return missing


def _file_rows(lake: Lake, name: str) -> Counter[date]:
    """Return the number of rows of each day of a table, from the metadata of its files."""
    table = lake.present(name)
    counts: Counter[date] = Counter()
    for file in data_files(table, table.current_snapshot()).values() if table is not None else ():
        counts[day_of(file)] += file.record_count
    return counts


def _rejected(lake: Lake) -> dict[date, Counter[str]]:
    """Return the number of rows in quarantine by day and rule."""
    rows = lake.read("quarantine", columns=("ds", "rule"))
    found: dict[date, Counter[str]] = {}
    pairs: Iterable[tuple[date, str]] = zip(rows["ds"].to_pylist(), rows["rule"].to_pylist(), strict=True)
    for day, rule in pairs:
        found.setdefault(day, Counter())[rule] += 1
    return found
