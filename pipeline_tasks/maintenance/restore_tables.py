"""Restores the gold tables to an earlier publication, by one new snapshot of each table that changes metadata only.

The snapshots in between stay, so that the rollback can be undone. Readers see the earlier rows of all tables at once.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

from pyiceberg.table import Table as IcebergTable
from pyiceberg.table import Transaction
from pyiceberg.table.snapshots import Snapshot

from pipeline_tasks.lake.atomic_commit import commit_together
from pipeline_tasks.lake.catalog import facts_of
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.maintenance.publications import (
    GOLD_TABLES,
    RESTORED_FROM,
    Publication,
    data_files,
    day_of,
    lineage,
    replace_files,
    touched_days,
)

_LAST: Final = "recommendations"
"""The table that is committed last, as in publishing, where a catalog cannot commit several tables at once."""


@dataclass(frozen=True)
class Restored:
    """The state of one table before and after a rollback."""

    table: str
    was: date | None
    """The newest day before; None for an empty table."""
    now: date | None
    changed: bool
    days: tuple[date, ...] = ()
    """Days with other rows than before."""

    def __str__(self) -> str:
        if not self.changed:
            return f"{self.table}: unchanged, newest day {self.now or 'none'}"
        return f"{self.table}: newest day was {self.was or 'none'}, is now {self.now or 'none'}"


def restore_tables(lake: Lake, target: Publication, through: date | None = None) -> list[Restored]:
    """Restore every gold table, all at once. Days after `through` are left out, where it is given.

    A second call changes nothing.

    Raises:
        ValueError: a snapshot that is needed has expired. No table is changed.
        CommitFailedException: another process committed to a gold table meanwhile. No table is changed.
    """
    now = lake.consistent_view()
    names = sorted(GOLD_TABLES, key=lambda name: name == _LAST)
    snapshots = require_snapshots(now, target)
    with lake.writing():
        restored = [_restore(now, name, snapshots[name], target, through) for name in names if lineage(now, name)]
        commit_together(lake.catalog, [transaction for _, transaction in restored if transaction is not None])
    return [table for table, _ in restored]


def require_snapshots(lake: Lake, target: Publication) -> dict[str, Snapshot | None]:
    """Return the snapshot of every gold table at a publication. Raises ValueError where one has expired."""
    return {name: snapshot_at(lake, name, target.until_ms) for name in GOLD_TABLES}


def snapshot_at(lake: Lake, name: str, time_ms: int) -> Snapshot | None:
    """Return the table's snapshot at a time in epoch milliseconds, None where it had none yet.

    Raises:
        ValueError: the snapshot has expired.
    """
    snapshots = lineage(lake, name)
    earlier = [snapshot for snapshot in snapshots if snapshot.timestamp_ms <= time_ms]
    if earlier:
        return earlier[0]
    # The first snapshot of a table has the number 1. Where the oldest one has a higher number, earlier ones expired.
    if snapshots and (snapshots[-1].sequence_number or 1) > 1:
        raise ValueError(
            f"{lake.source}.{name} cannot go back: its snapshot of that time has expired, the oldest kept is "
            f"{snapshots[-1].snapshot_id}. Run that day again instead (nightshelf run --date)"
        )
    return None


def _restore(
    lake: Lake, name: str, snapshot: Snapshot | None, target: Publication, through: date | None
) -> tuple[Restored, Transaction | None]:
    """Return the table's state before and after, and the transaction to commit, None where nothing changes."""
    table = lake.table(name)
    present = data_files(table, table.current_snapshot())
    wanted = {
        path: file for path, file in data_files(table, snapshot).items() if through is None or day_of(file) <= through
    }
    removed = [file for path, file in present.items() if path not in wanted]
    added = [file for path, file in wanted.items() if path not in present]
    was, now = (max(map(day_of, files.values()), default=None) for files in (present, wanted))
    if not removed and not added:
        return Restored(name, was, now, changed=False, days=_days_of_earlier_attempt(table, target)), None
    transaction = replace_files(table, removed, added, {RESTORED_FROM: str(target.until_ms)})
    days = sorted({day_of(file) for file in (*removed, *added)})
    return Restored(name, was, now, changed=True, days=tuple(days)), transaction


def _days_of_earlier_attempt(table: IcebergTable, target: Publication) -> tuple[date, ...]:
    """Return the days that an earlier attempt changed on the way to the same publication."""
    present = table.current_snapshot()
    if present is None or facts_of(present).get(RESTORED_FROM) != str(target.until_ms):
        return ()
    return tuple(sorted(touched_days(table, present)))
