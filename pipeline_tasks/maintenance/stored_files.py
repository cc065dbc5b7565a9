"""Files of a folder of this machine or of an object store: how large and how old they are, and their removal."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pyarrow import fs

from pipeline_tasks.lake.file_location import file_location


@dataclass(frozen=True)
class StoredFile:
    """One file."""

    path: str
    """As `plain` writes it."""
    bytes: int
    changed: datetime


def plain(location: str) -> str:
    """Return a path or URI in the one form in which two can be compared: local paths bare, others as URIs."""
    return file_location(location)[1] if location.startswith("file:") else location


def files_below(folder: str) -> Iterator[StoredFile]:
    """Yield every file below a folder; none where there is no such folder."""
    system, inner = file_location(folder)
    prefix = folder[: folder.index("://") + 3] if "://" in folder and not folder.startswith("file:") else ""
    for entry in system.get_file_info(fs.FileSelector(inner, recursive=True, allow_not_found=True)):
        if entry.type == fs.FileType.File:
            yield StoredFile(prefix + entry.path, entry.size, entry.mtime)


def remove_files(files: Iterable[StoredFile]) -> None:
    """Remove the files, and of this machine the folders that are empty then; one that is gone already is no fault."""
    for file in files:
        system, inner = file_location(file.path)
        if isinstance(system, fs.LocalFileSystem):
            Path(inner).unlink(missing_ok=True)
            _remove_empty(Path(inner).parent)
        elif system.get_file_info(inner).type == fs.FileType.File:
            system.delete_file(inner)


def _remove_empty(folder: Path) -> None:
    # One that somebody writes into meanwhile refuses to go, and stays.
    with suppress(OSError):
        while not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent
