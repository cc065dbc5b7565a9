"""Nights in staging that are no longer needed: vectors, candidates, shelves, reports, and the pages of their gates."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.maintenance.stored_files import StoredFile, files_below


def old_night_folders(settings: Settings, source: str, before: datetime) -> list[Path]:
    """Return the night folders of a source in which nothing was written since a moment; never that of its newest night.

    By when they were written, not by their night: a backfill of last year may have been made today.
    """
    folders = sorted(path for path in (settings.staging / source).glob("*-*-*") if path.is_dir())
    return [folder for folder in folders[:-1] if _changed(folder) < before]


def gate_pages(settings: Settings, nights: Iterable[Path]) -> list[StoredFile]:
    """Return what Great Expectations keeps of the gates of these night folders: results, and the pages of them."""
    names = tuple(f"{folder.parent.name}-{folder.name}-" for folder in nights)
    if not names:
        return []
    return [
        file
        for file in files_below(str(settings.data_docs))
        if any(part.startswith(names) for part in Path(file.path).relative_to(settings.data_docs).parts)
    ]


def _changed(folder: Path) -> datetime:
    times = [file.changed for file in files_below(str(folder))]
    return max(times, default=datetime.fromtimestamp(folder.stat().st_mtime, UTC))
