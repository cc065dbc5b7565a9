"""The data files of a snapshot, transactions that replace some, and the days that snapshots published.

The tables of a step are committed one after another with the same properties. Such a series of commits is one
publication. The state of a table at a publication is its newest snapshot that is not younger than it.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from pyiceberg.manifest import DataFile, ManifestEntryStatus
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table import Transaction
from pyiceberg.table.snapshots import Snapshot, ancestors_of

from pipeline_tasks.lake.catalog import as_properties, facts_of
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.tables.contracts import TABLES

_EPOCH: Final = date(1970, 1, 1)
GOLD_TABLES: Final = tuple(name for name, table in TABLES.items() if table.layer == "gold")
RESTORED_FROM: Final = "restored_from"
"""Property of a snapshot that a rollback made: the time that it went back to, in epoch milliseconds."""
HISTORY_ERASED: Final = "forgotten_history"
"""Property of the first snapshot of a table after users were erased from all earlier ones."""


def data_files(table: IcebergTable, snapshot: Snapshot | None) -> dict[str, DataFile]:
    """Return the data files of a snapshot by path; an empty dict for no snapshot."""
    if snapshot is None:
        return {}
    entries = (
        entry
        for manifest in snapshot.manifests(table.io)
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
    )
    return {entry.data_file.file_path: entry.data_file for entry in entries}


def day_of(file: DataFile) -> date:
    """Return the day (`ds`) of all rows of the file."""
    days: int = file.partition[0]
    return _EPOCH + timedelta(days)


def touched_days(table: IcebergTable, snapshot: Snapshot) -> set[date]:
    """Return the days with files that the snapshot itself added or removed."""
    own = [one for one in snapshot.manifests(table.io) if one.added_snapshot_id == snapshot.snapshot_id]
    entries = [entry for one in own for entry in one.fetch_manifest_entry(table.io, discard_deleted=False)]
    return {day_of(entry.data_file) for entry in entries if entry.status != ManifestEntryStatus.EXISTING}


def replace_files(
    table: IcebergTable, old: Collection[DataFile], new: Collection[DataFile], facts: Mapping[str, str]
) -> Transaction:
    """Return a transaction that replaces the files `old` by `new` in a new snapshot with the properties `facts`.

    `commit_together` commits it. No file is rewritten, and earlier snapshots stay readable.
    """
    transaction = table.transaction()
    update: Any = transaction.update_snapshot(snapshot_properties=as_properties(facts))
    with update.overwrite() as overwrite:
        for file in old:
            overwrite.delete_data_file(file)
        for file in new:
            overwrite.append_data_file(file)
    return transaction


@dataclass(frozen=True)
class Publication:
    """The commit of the gold tables of one day."""

    ds: date
    until_ms: int
    """Time of the commit of its last table, in epoch milliseconds."""
    restored_ms: int | None = None
    """For a rollback, the `until_ms` that it went back to; None for new rows."""


@dataclass(frozen=True)
class _Commit:
    until_ms: int
    days: frozenset[date]
    facts: tuple[tuple[str, str], ...]

    @property
    def kind(self) -> object:
        """A value that is equal for the commits of one publication."""
        if HISTORY_ERASED in dict(self.facts):
            return HISTORY_ERASED
        return self.facts if self.restored_ms is not None else (self.days, self.facts)

    @property
    def restored_ms(self) -> int | None:
        value = dict(self.facts).get(RESTORED_FROM)
        return int(value) if value else None


def publications(lake: Lake) -> list[Publication]:
    """Return all publications in the snapshots that have not expired, oldest first."""
    found: list[Publication] = []
    previous: object = None
    for commit in sorted(_commits(lake), key=lambda one: one.until_ms):
        if commit.kind == previous:
            found.pop()
        found.append(Publication(max(commit.days), commit.until_ms, commit.restored_ms))
        previous = commit.kind
    return found


def lineage(lake: Lake, name: str) -> list[Snapshot]:
    """Return the current snapshot of a table and its ancestors, newest first; an empty list for no table."""
    table = lake.present(name)
    return list(ancestors_of(table.current_snapshot(), table.metadata)) if table is not None else []


def _commits(lake: Lake) -> Iterator[_Commit]:
    for name in GOLD_TABLES:
        table = lake.present(name)
        for snapshot in ancestors_of(table.current_snapshot(), table.metadata) if table is not None else ():
            facts = facts_of(snapshot)
            days = touched_days(table, snapshot)
            if HISTORY_ERASED in facts:
                # This snapshot changes no file. It is the state of the table from then on.
                days = set(map(day_of, data_files(table, snapshot).values()))
            if days:
                yield _Commit(snapshot.timestamp_ms, frozenset(days), tuple(sorted(facts.items())))
