"""Which day a Parquet file holds, and how many rows of it, from its footer alone."""

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple
from urllib.parse import unquote

import pyarrow.parquet as pq
from pyarrow import fs


class FileDay(NamedTuple):
    """One file."""

    file: str
    ds: date | None
    """The day of all its rows; None where they are of several days, or say none."""
    rows: int


def file_days(files: Iterable[str]) -> list[FileDay]:
    """Return the day and the rows of every file."""
    return [_file_day(file) for file in files]


def parquet_location(file: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a path or URI, and the path on it. Spark writes local paths as escaped URIs."""
    if file.startswith("file:"):
        return fs.LocalFileSystem(), unquote("/" + file.removeprefix("file:").lstrip("/"))
    system, path = fs.FileSystem.from_uri(file) if "://" in file else (fs.LocalFileSystem(), file)
    return system, path


def _file_day(file: str) -> FileDay:
    system, path = parquet_location(file)
    footer = pq.read_metadata(path, filesystem=system)
    column = next((at for at in range(footer.num_columns) if footer.schema.column(at).path == "ds"), None)
    groups = [footer.row_group(at) for at in range(footer.num_row_groups)]
    told = [group.column(column).statistics if column is not None else None for group in groups]
    days = {(one.min, one.max, one.null_count) if one and one.has_min_max else (None, None, 1) for one in told}
    first, last, nulls = days.pop() if len(days) == 1 else (None, None, 1)
    return FileDay(file, first if first == last and not nulls else None, footer.num_rows)
