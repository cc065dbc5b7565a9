"""Stored files and snapshots that nothing needs: lists, finds and removes them.

They come from failed gates, replaced days and expired snapshots.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from pyarrow import fs
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Snapshot, ancestors_of

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.files import file_location
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.staging import Manifest
from pipeline_tasks.registry.registry import champion_version
from pipeline_tasks.run_key import RunKey

MIN_ORPHAN_AGE: Final = timedelta(days=1)
"""Files younger than this may belong to a run that is under way. The longest task may take 6 hours."""


@dataclass(frozen=True)
class StoredFile:
    """The location, size and time of the last change of a file."""

    path: str
    """In the form of `normalize_location`."""
    bytes: int
    changed: datetime


def normalize_location(location: str) -> str:
    """Return a path or URI in one form, so that two can be compared: local files as paths, others as URIs."""
    return file_location(location)[1] if location.startswith("file:") else location


def files_below(folder: str) -> Iterator[StoredFile]:
    """Yield every file below a folder, and none where the folder does not exist."""
    system, inner = file_location(folder)
    prefix = folder[: folder.index("://") + 3] if "://" in folder and not folder.startswith("file:") else ""
    for entry in system.get_file_info(fs.FileSelector(inner, recursive=True, allow_not_found=True)):
        if entry.type == fs.FileType.File:
            yield StoredFile(prefix + entry.path, entry.size, entry.mtime)


def gate_pages(settings: Settings, folders: Iterable[Path]) -> list[StoredFile]:
    """Return the results and pages in the Data Docs of the gates of these staging folders (<source>/<day>)."""
    names = tuple(f"{folder.parent.name}-{folder.name}-" for folder in folders)
    if not names:
        return []
    return [
        file
        for file in files_below(str(settings.data_docs))
        if any(part.startswith(names) for part in Path(file.path).relative_to(settings.data_docs).parts)
    ]


def remove_files(files: Iterable[StoredFile]) -> None:
    """Remove the files, and local folders that become empty. A file that is already gone is no error."""
    for file in files:
        system, inner = file_location(file.path)
        if isinstance(system, fs.LocalFileSystem):
            Path(inner).unlink(missing_ok=True)
            _remove_empty(Path(inner).parent)
        elif system.get_file_info(inner).type == fs.FileType.File:
            system.delete_file(inner)


def _remove_empty(folder: Path) -> None:
    # A folder that another process writes into cannot be removed, and stays.
    with suppress(OSError):
        while not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent


def old_snapshots(table: IcebergTable, before: datetime, needed: Collection[int]) -> list[Snapshot]:
    """Return the snapshots that were committed before `before` and are not needed.

    These are kept: the ids `needed`, the present snapshot, those named by a branch or tag, and the last one before
    `before`. The last one is the state of the table at that time, and a rollback to a later time may need it.
    """
    before_ms = before.timestamp() * 1000
    line = list(ancestors_of(table.current_snapshot(), table.metadata))
    last = next((snapshot.snapshot_id for snapshot in line if snapshot.timestamp_ms < before_ms), None)
    kept = {last, table.metadata.current_snapshot_id, *needed, *(ref.snapshot_id for ref in table.refs().values())}
    return [one for one in table.snapshots() if one.timestamp_ms < before_ms and one.snapshot_id not in kept]


def needed_snapshots(settings: Settings, lake: Lake) -> set[int]:
    """Return the ids of the snapshots that the champion was trained on, and of the events of the newest split."""
    splits = lake.read("splits", columns=("ds", "split_id", "events_snapshot_id")).to_pylist()
    if not splits:
        return set()
    newest = max(splits, key=lambda split: split["ds"])
    needed = {newest["events_snapshot_id"]}
    champion = champion_version(settings, RunKey(lake.source, newest["ds"]))
    if champion is not None:
        needed |= {int(value) for name, value in champion.tags.items() if name.startswith("snapshot.")}
        needed |= {
            split["events_snapshot_id"] for split in splits if split["split_id"] == champion.tags.get("split_id")
        }
    return needed


def expire(table: IcebergTable, snapshots: Collection[Snapshot]) -> None:
    """Remove the snapshots from the table's metadata. Their files stay until `orphan_files` finds them."""
    if snapshots:
        table.maintenance.expire_snapshots().by_ids([snapshot.snapshot_id for snapshot in snapshots]).commit()


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
