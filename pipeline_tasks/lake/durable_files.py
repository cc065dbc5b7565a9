"""Makes files durable: a power cut after `sync_files` loses none of them."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from pyarrow import fs

from pipeline_tasks.lake.file_location import file_location

_THREADS: Final = 8
"""A sync waits for the disk, not for a core."""


def sync_files(files: Iterable[str], root: str) -> None:
    """Write the files, and the folders from theirs up to the folder of `root`, through to the disk.

    Files of an object store are left out: it stores each one whole when it is written.
    """
    local = [Path(path) for system, path in map(file_location, files) if isinstance(system, fs.LocalFileSystem)]
    if not local:
        return
    top = Path(file_location(root)[1])
    # A new folder is durable once the folder above it is synced: that of `root` as well.
    parents = {folder for file in local for folder in file.parents if folder.is_relative_to(top)} | {top.parent}
    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(_sync, local))
        list(threads.map(sync_folder, parents))


def sync_folder(folder: Path) -> None:
    """Write the names that a folder holds through to the disk."""
    _sync(folder)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
