"""Brings the reconciliation to what events and quarantine hold, where rows of them were forgotten."""

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

RECOUNTED: Final = "reconciliation"
_CATALOG: Final = "catalog"
_ROWS_IN: Final = {outcome: names.rows_in for names in (EVENTS, *CATALOGS.values()) for outcome in names}
"""The outcome that counts all rows of a kind, by each of its outcomes."""
_QUARANTINES: Final = (EVENTS.quarantine, *(names.quarantine for names in CATALOGS.values()))
Rows = list[dict[str, Any]]


def recount_days(lake: Lake) -> NewDays | None:
    """Return the days whose counts differ from the rows in the lake, written with the right ones; None for no day.

    What went is taken off rows_in as well: as if it had never been delivered. Duplicates stay counted.
    """
    told = lake.read(RECOUNTED)
    by_day: dict[date, Rows] = {}
    for row in told.to_pylist():
        by_day.setdefault(row["ds"], []).append(row)
    events, refused = _file_rows(lake, "events"), _refused(lake)
    new = {day: _recounted(rows, events[day], refused.get(day, Counter())) for day, rows in by_day.items()}
    changed = sorted(day for day, rows in new.items() if rows != by_day[day])
    if not changed:
        return None
    rows = pa.Table.from_pylist([row for day in changed for row in new[day]], arrow_schema(TABLES[RECOUNTED]))
    return NewDays(changed, lake.write_arrow(RECOUNTED, rows))


def _recounted(rows: Rows, events: int, refused: Counter[str]) -> Rows:
    missing = _missing(rows, refused)
    counted = [dict(row) for row in rows]
    # A rule may refuse rows of several kinds: what went of it is taken off the events first.
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


def _missing(rows: Rows, refused: Counter[str]) -> Counter[str]:
    """Return by rule how many refused rows are counted and no longer there.

    Days of earlier versions count all refused records of catalogs under one rule, `catalog`.
    """
    told: Counter[str] = Counter()
    for row in rows:
        if row["outcome"] in _QUARANTINES:
            told[row["rule"]] += row["rows"]
    missing = told - refused
    if _CATALOG in told:
        missing[_CATALOG] = 0
        missing[_CATALOG] = told.total() - refused.total() - missing.total()
    return missing


def _file_rows(lake: Lake, name: str) -> Counter[date]:
    table = lake.present(name)
    counts: Counter[date] = Counter()
    for file in data_files(table, table.current_snapshot()).values() if table is not None else ():
        counts[day_of(file)] += file.record_count
    return counts


def _refused(lake: Lake) -> dict[date, Counter[str]]:
    rows = lake.read("quarantine", columns=("ds", "rule"))
    found: dict[date, Counter[str]] = {}
    pairs: Iterable[tuple[date, str]] = zip(rows["ds"].to_pylist(), rows["rule"].to_pylist(), strict=True)
    for day, rule in pairs:
        found.setdefault(day, Counter())[rule] += 1
    return found
