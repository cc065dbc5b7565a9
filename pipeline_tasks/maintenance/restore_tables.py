"""Brings the gold tables back to what they were at a publication: one new snapshot a table, metadata only.

The way back is a commit like any other: the snapshots in between stay, so that it can be undone, and readers see the
earlier rows of all tables at once.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

from pyiceberg.table import Table as IcebergTable
from pyiceberg.table import Transaction
from pyiceberg.table.snapshots import Snapshot

from pipeline_tasks.lake.atomic_commit import commit_together
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.snapshot_facts import facts_of
from pipeline_tasks.maintenance.publications import GOLD, RESTORED, Publication, lineage
from pipeline_tasks.maintenance.table_files import data_files, day_of, replace_files, touched_days

LAST: Final = "recommendations"
"""Committed last, as publishing does, by a catalog that cannot commit several tables at once."""


@dataclass(frozen=True)
class Restored:
    """What became of one table."""

    table: str
    was: date | None
    """The newest night before; None for an empty table."""
    now: date | None
    changed: bool
    days: tuple[date, ...] = ()
    """Nights whose rows are other ones now, or none."""

    def __str__(self) -> str:
        if not self.changed:
            return f"{self.table}: as it was, newest night {self.now or 'none'}"
        return f"{self.table}: newest night was {self.was or 'none'}, is {self.now or 'none'}"


def restore_tables(lake: Lake, target: Publication, through: date | None = None) -> list[Restored]:
    """Restore every gold table, all at once; nights after `through` are left out, where it is given.

    Done again, nothing changes.

    Raises:
        ValueError: a snapshot that is needed has expired; no table is changed then.
        CommitFailedException: another process committed to a gold table meanwhile; no table is changed then.
    """
    now = lake.at_one_moment()
    names = sorted(GOLD, key=lambda name: name == LAST)
    snapshots = require_states(now, target)
    with lake.writing():
        restored = [_restore(now, name, snapshots[name], target, through) for name in names if lineage(now, name)]
        commit_together(lake.catalog, [transaction for _, transaction in restored if transaction is not None])
    return [told for told, _ in restored]


def require_states(lake: Lake, target: Publication) -> dict[str, Snapshot | None]:
    """Return what every gold table was at a publication. Raises ValueError where a snapshot of it has expired."""
    return {name: state_at(lake, name, target.until_ms) for name in GOLD}


def state_at(lake: Lake, name: str, moment_ms: int) -> Snapshot | None:
    """Return the table's snapshot at a moment, None where it had none yet.

    Raises:
        ValueError: it has expired.
    """
    known = lineage(lake, name)
    earlier = [snapshot for snapshot in known if snapshot.timestamp_ms <= moment_ms]
    if earlier:
        return earlier[0]
    # The first snapshot of a table has the number 1: what begins with a later one had others before it.
    if known and (known[-1].sequence_number or 1) > 1:
        raise ValueError(
            f"{lake.source}.{name} cannot go back: its snapshot of that time has expired, the oldest kept is "
            f"{known[-1].snapshot_id}. Run the chain for that night again instead (nightshelf run)"
        )
    return None


def _restore(
    lake: Lake, name: str, snapshot: Snapshot | None, target: Publication, through: date | None
) -> tuple[Restored, Transaction | None]:
    """Return what becomes of the table, and the transaction that is to be committed, None where nothing changes."""
    table = lake.table(name)
    present = data_files(table, table.current_snapshot())
    wanted = {
        path: file for path, file in data_files(table, snapshot).items() if through is None or day_of(file) <= through
    }
    gone = [file for path, file in present.items() if path not in wanted]
    back = [file for path, file in wanted.items() if path not in present]
    was, now = (max(map(day_of, files.values()), default=None) for files in (present, wanted))
    if not gone and not back:
        return Restored(name, was, now, changed=False, days=_days_before(table, target)), None
    transaction = replace_files(table, gone, back, {RESTORED: str(target.until_ms)})
    days = sorted({day_of(file) for file in (*gone, *back)})
    return Restored(name, was, now, changed=True, days=tuple(days)), transaction


def _days_before(table: IcebergTable, target: Publication) -> tuple[date, ...]:
    """Return the nights that an attempt before this one changed on its way to the same publication."""
    present = table.current_snapshot()
    if present is None or facts_of(present).get(RESTORED) != str(target.until_ms):
        return ()
    return tuple(sorted(touched_days(table, present)))
