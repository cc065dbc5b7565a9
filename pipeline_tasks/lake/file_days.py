"""Which day a Parquet file holds, and how many rows of it, from its footer alone."""

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from pipeline_tasks.lake.footer_bounds import footer_bounds


class FileDay(NamedTuple):
    """One file."""

    file: str
    ds: date | None
    """The day of all its rows; None where they are of several days, or say none."""
    rows: int


def file_days(files: Iterable[str]) -> list[FileDay]:
    """Return the day and the rows of every file."""
    return [_file_day(file) for file in files]


def _file_day(file: str) -> FileDay:
    told = footer_bounds(file)
    day = told.columns.get("ds")
    return FileDay(file, day.low if day and day.low == day.high and not day.nulls else None, told.rows)
