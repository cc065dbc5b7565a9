"""Brings the reconciliation to what events and quarantine hold, where rows of them were forgotten."""

from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import Any, Final

import pyarrow as pa

from pipeline_tasks.contracts import TABLES
from pipeline_tasks.storage.lake import Lake, NewDays
from pipeline_tasks.tables.schemas import arrow_schema
from pipeline_tasks.upkeep.table_files import data_files, day_of

RECOUNTED: Final = "reconciliation"
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
    missing = sum(row["rows"] for row in rows if row["outcome"] == "quarantine") - refused.total()
    counted = [dict(row) for row in rows]
    for row in sorted(counted, key=lambda row: row["rule"] == "catalog"):
        if row["outcome"] == "event":
            row["rows"] = events
        elif row["outcome"] == "quarantine" and missing > 0:
            # The catalog's refused records are told in one row, whatever their rules.
            less = missing if row["rule"] == "catalog" else min(missing, max(0, row["rows"] - refused[row["rule"]]))
            row["rows"] -= less
            missing -= less
    total = sum(row["rows"] for row in counted if row["outcome"] != "rows_in")
    return [row | {"rows": total} if row["outcome"] == "rows_in" else row for row in counted]


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
