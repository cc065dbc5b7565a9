"""Files below a table's folder that none of its snapshots names: of failed gates, of replaced or forgotten nights."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import unquote

from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Snapshot

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.staging import Manifest
from pipeline_tasks.maintenance.stored_files import StoredFile, files_below, plain

YOUNG: Final = timedelta(days=1)
"""Files younger than this may belong to a night under way: the longest task ends after 6 hours, a person's answer a day
later at most, behind which nothing is written that was not staged anew."""


def orphan_files(
    table: IcebergTable,
    snapshots: Iterable[Snapshot],
    before: datetime,
    staged: Collection[str] = (),
    released: Collection[str] = (),
) -> list[StoredFile]:
    """Return the files below the table's folder that neither `snapshots` nor the table's state name.

    Args:
        table: as it is in the catalog now.
        snapshots: those that are to stay.
        before: younger files are left out: a night under way writes before it commits.
        staged: files that wait for their gate, left out as well.
        released: files that were named until now, by snapshots that have expired or manifests that were deleted: they
            go whatever their age, as no job can be writing them.
    """
    named = named_files(table, snapshots) | {plain(file) for file in staged}
    # Parquet beside a checksum that Spark writes for it (".part-….crc").
    return [
        file
        for file in files_below(table.location())
        if (file.changed < before or _told_for(file.path) in released)
        and _told_for(file.path) not in named
        and file.path not in named
    ]


def named_files(table: IcebergTable, snapshots: Iterable[Snapshot]) -> set[str]:
    """Return all that the snapshots, and the table's present and logged metadata, are read from."""
    named = {table.metadata_location, *(entry.metadata_file for entry in table.metadata.metadata_log)}
    named |= {statistics.statistics_path for statistics in table.metadata.statistics}
    read: set[str] = set()
    for snapshot in snapshots:
        named.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            # Snapshots share most manifests.
            if manifest.manifest_path not in read:
                read.add(manifest.manifest_path)
                entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
                named |= {entry.data_file.file_path for entry in entries}
    return {plain(path) for path in named | read}


def staged_files(settings: Settings) -> set[str]:
    """Return the files that the manifests of all nights in staging name."""
    found: set[str] = set()
    for path in settings.staging.glob("*/*/*.json"):
        if path.stem in ("clean", "split", "recommend"):
            manifest = Manifest.model_validate_json(path.read_text())
            found |= {file for table in manifest.tables.values() for file in table.files}
    return {plain(file) for file in found} | {unquote(plain(file)) for file in found}


def _told_for(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/{name.removeprefix('.').removesuffix('.crc')}" if name.endswith(".crc") else path
