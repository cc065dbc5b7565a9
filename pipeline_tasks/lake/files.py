"""Files on the local disk or in an object store: their places, writes that survive a kill, and damaged files."""

import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs
from pyiceberg.table import Table as IcebergTable

from pipeline_tasks.errors import damaged_file_error, out_of_space_errors, rebuild_remedy

_SYNC_THREADS: Final = 8
"""More than cores, because a sync waits for the disk."""
_EPOCH: Final = date(1970, 1, 1)
READ_ERRORS: Final = (OSError, ValueError, EOFError, AssertionError, LookupError)
"""Errors from damaged files: Arrow's are ValueErrors; those of an Avro file may be any of these."""


def file_location(file: str) -> tuple[fs.FileSystem, str]:
    """Return the file system and the path on it. Local `file:` URIs are unescaped, because Spark escapes them."""
    if file.startswith("file:"):
        return fs.LocalFileSystem(), unquote("/" + file.removeprefix("file:").lstrip("/"))
    system, path = fs.FileSystem.from_uri(file) if "://" in file else (fs.LocalFileSystem(), file)
    return system, path


def table_location(files: Sequence[str]) -> tuple[fs.FileSystem, list[str]]:
    """Return the file system of a table's files (at least one) and their paths on it."""
    system, first = file_location(files[0])
    if isinstance(system, fs.LocalFileSystem):
        return system, [file_location(file)[1] for file in files]
    # Opened only once, because opening an object store queries its region.
    root = files[0].removesuffix(first)
    return system, [file.removeprefix(root) for file in files]


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


@contextmanager
def damaged_parquet_errors(path: str) -> Iterator[None]:
    """Turn a failure to read the Parquet file into one error that names the file and the remedy.

    Raises:
        DamagedFileError: the file is damaged or missing.
    """
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        raise damaged_file_error(path, str(error).splitlines()[0]) from error


@contextmanager
def damaged_table_errors(table: IcebergTable, snapshot_id: int | None) -> Iterator[None]:
    """Raise DamagedFileError, which names the file, where reading a table fails because of a damaged file."""
    try:
        yield
    except READ_ERRORS:
        require_readable(table, snapshot_id)
        raise


def require_readable(table: IcebergTable, snapshot_id: int | None = None) -> None:
    """Read every file of a snapshot, the current one by default, to its end.

    Raises:
        DamagedFileError: a file cannot be read; the message names it and the remedy.
    """
    source, name = table.name()
    snapshot = table.snapshot_by_id(snapshot_id) if snapshot_id is not None else table.current_snapshot()
    if snapshot is None:
        return
    backup = f"Restore it from a backup of the lake, or roll {source}.{name} back to an earlier day"
    manifests = _read(partial(snapshot.manifests, table.io), snapshot.manifest_list, backup)
    for manifest in manifests:
        entries = _read(partial(manifest.fetch_manifest_entry, table.io), manifest.manifest_path, backup)
        for entry in entries:
            file = entry.data_file
            again = rebuild_remedy(source, name, _EPOCH + timedelta(days=file.partition[0]))
            _read(partial(_read_rows, file.file_path), file.file_path, again)


def _read(work: Callable[[], Any], path: str, remedy: str) -> Any:  # noqa: ANN401
    try:
        return work()
    except READ_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise damaged_file_error(path, reason, remedy) from error


def _read_rows(path: str) -> None:
    system, inner = file_location(path)
    with system.open_input_file(inner) as opened:
        for _ in pq.ParquetFile(opened).iter_batches():
            pass
