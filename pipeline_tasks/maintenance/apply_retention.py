"""Finds data older than the retention that is no longer needed, and deletes it on request."""

import shutil
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.source_lock import maintenance_lock
from pipeline_tasks.maintenance.stored_files import (
    MIN_ORPHAN_AGE,
    StoredFile,
    expire,
    files_below,
    gate_pages,
    needed_snapshots,
    old_snapshots,
    orphan_files,
    remove_files,
    staged_files,
)
from pipeline_tasks.quality.gate_pages import write_index
from pipeline_tasks.tables.contracts import TABLES


@dataclass(frozen=True)
class Removal:
    """The number and size of the entries of one kind that are removed."""

    what: str
    count: int
    bytes: int

    def __str__(self) -> str:
        return f"{self.what}: {self.count}, {self.bytes / 2**20:.1f} MiB"


def apply_retention(
    settings: Settings, source: str, retention_days: int, *, delete: bool, now: datetime | None = None
) -> list[Removal]:
    """Return what is removed for a source, by kind. Nothing is changed unless `delete`.

    Rows that readers of a table see stay, whatever their day. A second run finds nothing more to remove.

    Raises:
        ValueError: the retention is shorter than two days.
        SourceBusyError: a job of the source runs, and `delete` is set.
    """
    if retention_days < 2:
        raise ValueError(
            f"retention_days is {retention_days}: keep 2 days or more, because a run may need the day before"
        )
    now = now or datetime.now(UTC)
    before, lake = now - timedelta(days=retention_days), Lake.open(settings, source)
    with maintenance_lock(settings, source, "apply_retention") if delete else nullcontext():
        removals = [*_clean_staging(settings, source, before, delete=delete)]
        needed, staged = needed_snapshots(settings, lake), staged_files(settings)
        for name in TABLES:
            removals += _clean_table(lake, name, before, needed, now - MIN_ORPHAN_AGE, staged, delete=delete)
        if delete:
            write_index(settings)
    return removals


def report_lines(removals: list[Removal], *, deleted: bool) -> list[str]:
    """Return one line for every kind of data that is removed, and a line with the total size."""
    total = sum(removal.bytes for removal in removals) / 2**20
    summary = "deleted" if deleted else "would be deleted (nothing was deleted)"
    return [*(str(removal) for removal in removals if removal.count), f"{summary}: {total:.1f} MiB"]


def _clean_staging(settings: Settings, source: str, before: datetime, *, delete: bool) -> list[Removal]:
    folders = _old_folders(settings, source, before)
    files = [file for folder in folders for file in files_below(str(folder))]
    pages = gate_pages(settings, folders)
    if delete:
        for folder in folders:
            shutil.rmtree(folder)
        remove_files(pages)
    days = f" ({folders[0].name} to {folders[-1].name})" if folders else ""
    return [Removal(f"days in staging{days}", len(folders), _size(files)), _files("pages of their gates", pages)]


def _old_folders(settings: Settings, source: str, before: datetime) -> list[Path]:
    """Return the source's staging folders that were last written before `before`, without the newest day's folder.

    The time of writing counts, not the day of the folder: a backfill of last year may have run today.
    """
    folders = sorted(path for path in (settings.staging / source).glob("*-*-*") if path.is_dir())
    return [folder for folder in folders[:-1] if _last_write(folder) < before]


def _last_write(folder: Path) -> datetime:
    times = [file.changed for file in files_below(str(folder))]
    return max(times, default=datetime.fromtimestamp(folder.stat().st_mtime, UTC))


def _clean_table(
    lake: Lake,
    name: str,
    before: datetime,
    needed: set[int],
    orphaned_before: datetime,
    staged: set[str],
    *,
    delete: bool,
) -> list[Removal]:
    table = lake.present(name)
    if table is None:
        return []
    old = old_snapshots(table, before, needed)
    old_ids = {snapshot.snapshot_id for snapshot in old}
    if delete:
        expire(table, old)
        table = table.refresh()
    kept = [snapshot for snapshot in table.snapshots() if snapshot.snapshot_id not in old_ids]
    files = orphan_files(table, kept, orphaned_before, staged)
    if delete:
        remove_files(files)
    return [Removal(f"snapshots of {name}", len(old), 0), _files(f"files of {name} that no snapshot names", files)]


def _files(what: str, files: list[StoredFile]) -> Removal:
    return Removal(what, len(files), _size(files))


def _size(files: list[StoredFile]) -> int:
    return sum(file.bytes for file in files)
