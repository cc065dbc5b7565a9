"""Finds files below a table's folder that belong to none of its snapshots.

They come from failed gates, replaced days and expired snapshots.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import unquote

from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Snapshot

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.staging import Manifest
from pipeline_tasks.maintenance.stored_files import StoredFile, files_below, normalize_location

YOUNG: Final = timedelta(days=1)
"""Files younger than this may belong to a run that is under way. The longest task may take 6 hours."""


def orphan_files(
    table: IcebergTable,
    snapshots: Iterable[Snapshot],
    before: datetime,
    staged: Collection[str] = (),
    released: Collection[str] = (),
) -> list[StoredFile]:
    """Return the files below the table's folder that neither `snapshots` nor the table's metadata name.

    Args:
        table: the table as it is in the catalog now.
        snapshots: the snapshots that are kept.
        before: files changed later are left out, because a run writes files before it commits them.
        staged: files that wait for their gate; they are left out too.
        released: files that an expired snapshot or a deleted manifest named. They are returned whatever their age,
            because no job can be writing them.
    """
    named = named_files(table, snapshots) | {normalize_location(file) for file in staged}
    return [
        file
        for file in files_below(table.location())
        if (file.changed < before or _checked_file(file.path) in released)
        and _checked_file(file.path) not in named
        and file.path not in named
    ]


def named_files(table: IcebergTable, snapshots: Iterable[Snapshot]) -> set[str]:
    """Return all files that the snapshots and the table's present and earlier metadata consist of."""
    named = {table.metadata_location, *(entry.metadata_file for entry in table.metadata.metadata_log)}
    named |= {statistics.statistics_path for statistics in table.metadata.statistics}
    read: set[str] = set()
    for snapshot in snapshots:
        named.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            # Snapshots share most manifests, so each is read once.
            if manifest.manifest_path not in read:
                read.add(manifest.manifest_path)
                entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
                named |= {entry.data_file.file_path for entry in entries}
    return {normalize_location(path) for path in named | read}


def staged_files(settings: Settings) -> set[str]:
    """Return the files that the manifests in staging name, of all sources and days."""
    found: set[str] = set()
    for path in settings.staging.glob("*/*/*.json"):
        if path.stem in ("clean", "split", "recommend"):
            manifest = Manifest.model_validate_json(path.read_text())
            found |= {file for table in manifest.tables.values() for file in table.files}
    return {normalize_location(file) for file in found} | {unquote(normalize_location(file)) for file in found}


def _checked_file(path: str) -> str:
    """Return the path of the Parquet file for Spark's checksum of it (".part-….crc"), else `path`."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{name.removeprefix('.').removesuffix('.crc')}" if name.endswith(".crc") else path
