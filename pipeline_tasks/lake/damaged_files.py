"""Names the file that could not be read, which Arrow's own errors mostly do not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.table import Table as IcebergTable

from pipeline_tasks.failure_messages import damaged_file_error, rebuild_remedy
from pipeline_tasks.lake.file_location import file_location

_EPOCH: Final = date(1970, 1, 1)
READ_ERRORS: Final = (OSError, ValueError, EOFError, AssertionError, LookupError)
"""Errors from damaged files: Arrow's are ValueErrors; those of an Avro file may be any of these."""


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
