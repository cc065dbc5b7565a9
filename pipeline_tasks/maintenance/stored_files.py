"""Lists and removes files below a folder, on the local disk or in an object store."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pyarrow import fs

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.file_location import file_location


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
