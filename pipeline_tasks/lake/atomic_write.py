"""Writes that survive a kill and a power cut: small files of state, and syncs of files that are written already."""

import os
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from pyarrow import fs

from pipeline_tasks.disk_space import out_of_space_errors
from pipeline_tasks.lake.file_location import file_location

_SYNC_THREADS: Final = 8
"""More than cores, because a sync waits for the disk."""


def write_atomically(path: Path, text: str) -> None:
    """Replace the file by `text` (UTF-8) and make its folder: a reader sees the old text or the new one.

    Of two concurrent writers, the later one's text stays. A write that was killed leaves a file ``….new``, which is
    never read.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{uuid.uuid4().hex}.new")
    try:
        with out_of_space_errors(str(path), "it is unchanged"), new.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        # Without a sync of the folder, a power cut may bring the old text back.
        _sync(path.parent)
    finally:
        new.unlink(missing_ok=True)


def sync_files(files: Iterable[str], root: str) -> None:
    """Sync the files, and their folders up to `root`, to the disk, so that a power cut loses none of them.

    Files of an object store are skipped, because it stores each file whole when it is written.
    """
    local = [Path(path) for system, path in map(file_location, files) if isinstance(system, fs.LocalFileSystem)]
    if not local:
        return
    top = Path(file_location(root)[1])
    # A new folder is durable once its parent is synced, so the parent of `root` is synced too.
    parents = {folder for file in local for folder in file.parents if folder.is_relative_to(top)} | {top.parent}
    with ThreadPoolExecutor(_SYNC_THREADS) as threads:
        list(threads.map(_sync, local))
        list(threads.map(_sync, parents))


def _sync(path: Path) -> None:
    """Sync a file, or the names in a folder, to the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
