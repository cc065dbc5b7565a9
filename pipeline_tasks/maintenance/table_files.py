"""The data files of a snapshot, and transactions that replace some of them."""

from collections.abc import Collection, Mapping
from datetime import date, timedelta
from typing import Any, Final

from pyiceberg.manifest import DataFile, ManifestEntryStatus
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table import Transaction
from pyiceberg.table.snapshots import Snapshot

from pipeline_tasks.lake.snapshot_facts import as_properties

_EPOCH: Final = date(1970, 1, 1)


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
