"""Removes the rows of erased users from the tables: data files with such rows are rewritten without them."""

from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import parquet_file_to_data_file
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table import Transaction

from pipeline_tasks.lake.atomic_commit import commit_together
from pipeline_tasks.lake.catalog import as_properties
from pipeline_tasks.lake.files import file_location
from pipeline_tasks.lake.lake import Lake, NewDays
from pipeline_tasks.maintenance.publications import HISTORY_ERASED, data_files, day_of, replace_files
from pipeline_tasks.maintenance.stored_files import expire
from pipeline_tasks.sources.erased import ErasedUsers
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema
from pipeline_tasks.tables.silver_tables import CATALOG_OUTCOMES, EVENT_OUTCOMES
from pipeline_tasks.tables.table_contract import COMPRESSION

RECONCILIATION: Final = "reconciliation"
_CATALOG: Final = "catalog"
_ROWS_IN: Final = {
    outcome: names.rows_in for names in (EVENT_OUTCOMES, *CATALOG_OUTCOMES.values()) for outcome in names
}
"""Outcome -> the outcome that counts all rows of the same kind."""
_QUARANTINES: Final = (EVENT_OUTCOMES.quarantine, *(names.quarantine for names in CATALOG_OUTCOMES.values()))
Rows = list[dict[str, Any]]
TEXT_COLUMNS: Final = {"quarantine": ("raw", "detail")}
"""Columns of text that may name a user, by table; these tables have no column user_key."""
USER_TABLES: Final = tuple(
    name for name, table in TABLES.items() if "user_key" in table.column_names or name in TEXT_COLUMNS
)


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
        if row["outcome"] == EVENT_OUTCOMES.accepted:
            row["rows"] = events
        elif row["outcome"] in _QUARANTINES:
            less = min(row["rows"], missing[row["rule"]])
            row["rows"] -= less
            missing[row["rule"]] -= less
    totals: Counter[str] = Counter()
    for row in counted:
        if row["outcome"] not in _ROWS_IN.values():
            totals[_ROWS_IN.get(row["outcome"], EVENT_OUTCOMES.rows_in)] += row["rows"]
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


def erase_rows(lake: Lake, erased: ErasedUsers) -> dict[str, int]:
    """Commit all tables without the users' rows of any day, and return the number of removed rows by table.

    All tables and the corrected counts of the days are one commit; there is none where no row is removed. Earlier
    snapshots still hold the rows: `erase_history` expires these.

    Raises:
        CommitFailedException: another process committed to one of the tables meanwhile. Nothing was changed.
    """
    now = lake.consistent_view()
    counts: dict[str, int] = dict.fromkeys(USER_TABLES, 0)
    transactions: dict[str, Transaction] = {}
    with lake.writing():
        for name in USER_TABLES:
            counts[name], transaction = _erase_from_table(now, name, erased)
            if transaction is not None:
                transactions[name] = transaction
        recounted = recount_days(now.after(transactions))
        if recounted is not None:
            transactions[RECONCILIATION] = now.replacing(RECONCILIATION, recounted, now.facts(RECONCILIATION))
        commit_together(lake.catalog, list(transactions.values()))
    return counts


def _erase_from_table(lake: Lake, name: str, erased: ErasedUsers) -> tuple[int, Transaction | None]:
    """Return the number of the users' rows in the table, and the transaction that removes them, None for no rows."""
    table = lake.present(name)
    if table is None:
        return 0, None
    old_files, new_paths, rows = [], [], 0
    for path, file in data_files(table, table.current_snapshot()).items():
        is_erased = _erased_rows(path, name, erased)
        count = pc.sum(is_erased).as_py() or 0
        if count:
            old_files.append(file)
            rows += count
            if count < len(is_erased):
                new_paths.append(_rewrite_file(lake, table, name, path, is_erased))
    if not old_files:
        return 0, None
    replacements = [parquet_file_to_data_file(table.io, table.metadata, path) for path in new_paths]
    # The snapshot's properties are still true for the rows that stay.
    facts = lake.facts(name) | {"forgotten_rows": str(rows)}
    return rows, replace_files(table, old_files, replacements, facts)


def erase_history(lake: Lake, name: str) -> int:
    """Expire all snapshots of the table but a new one, and return how many.

    The present snapshot names the files that it removed, with the least and greatest key in each. A new snapshot
    without changes no longer names them.
    """
    table = lake.present(name)
    if table is None or table.current_snapshot() is None:
        return 0
    facts = as_properties(lake.facts(name) | {HISTORY_ERASED: "all"})
    with table.transaction() as transaction, transaction.update_snapshot(snapshot_properties=facts).fast_append():
        pass
    table = table.refresh()
    present = table.metadata.current_snapshot_id
    earlier = [snapshot for snapshot in table.snapshots() if snapshot.snapshot_id != present]
    expire(table, earlier)
    return len(earlier)


def _erased_rows(path: str, name: str, erased: ErasedUsers) -> pa.Array:
    """Return for each row of a file whether it belongs to an erased user, or names one."""
    system, inner = file_location(path)
    columns = list(TEXT_COLUMNS.get(name, ("user_key",)))
    rows = pq.read_table(inner, columns=columns, filesystem=system, partitioning=None)
    found = pa.array([False] * rows.num_rows, pa.bool_())
    for column in columns:
        values = rows[column].combine_chunks()
        distinct = pc.unique(values).to_pylist()
        matches = erased.is_named_in if name in TEXT_COLUMNS else erased.is_erased
        matching = pa.array([value for value in distinct if value is not None and matches(value)], values.type)
        found = pc.or_(found, pc.is_in(values, value_set=matching))
    return found


def _rewrite_file(lake: Lake, table: IcebergTable, name: str, path: str, is_erased: pa.Array) -> str:
    """Write the rows of a file that are not erased to a new file, and return its path."""
    system, inner = file_location(path)
    rows = pq.read_table(inner, filesystem=system, partitioning=None)
    target = f"{lake.new_data_folder(name)}/{path.rpartition('/')[2]}"
    with table.io.new_output(target).create() as stream:
        pq.write_table(rows.filter(pc.invert(is_erased)), stream, compression=COMPRESSION)
    return target
