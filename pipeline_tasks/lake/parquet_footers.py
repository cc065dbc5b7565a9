"""Statistics from the footers of Parquet files: row counts, NULLs, smallest and largest values, and the day."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final, NamedTuple

import pyarrow.parquet as pq

from pipeline_tasks.lake.files import damaged_parquet_errors, file_location

_SPARK: Final = "parquet-mr"
"""Spark's writer counts NaN as the largest value or omits the bounds. Arrow's writer ignores NaN in its bounds."""
_FRACTIONS: Final = ("FLOAT", "DOUBLE")


class ColumnBounds(NamedTuple):
    """Statistics of one column of one file."""

    nulls: int
    low: Any
    """None where the footer has no bounds, or all values are NULL."""
    high: Any


class FileBounds(NamedTuple):
    """Statistics of one file."""

    rows: int
    columns: Mapping[str, ColumnBounds]
    """Columns that are not lists and have a NULL count in the footer."""


class FileDay(NamedTuple):
    """Day and row count of one file."""

    file: str
    ds: date | None
    """The day of all rows; None where rows have several days or none."""
    rows: int


def footer_bounds(file: str) -> FileBounds:
    """Return the statistics of a file's columns."""
    system, path = file_location(file)
    with damaged_parquet_errors(path):
        footer = pq.read_metadata(path, filesystem=system)
    plain = [at for at in range(footer.num_columns) if footer.schema.column(at).max_repetition_level == 0]
    bounds = {footer.schema.column(at).path: _bounds(footer, at) for at in plain}
    return FileBounds(footer.num_rows, {name: found for name, found in bounds.items() if found is not None})


def file_days(files: Iterable[str]) -> list[FileDay]:
    """Return the day and the number of rows of every file, read from its footer alone."""
    return [_file_day(file) for file in files]


def _file_day(file: str) -> FileDay:
    bounds = footer_bounds(file)
    day = bounds.columns.get("ds")
    return FileDay(file, day.low if day and day.low == day.high and not day.nulls else None, bounds.rows)


def _bounds(footer: pq.FileMetaData, at: int) -> ColumnBounds | None:
    chunks = [footer.row_group(group).column(at) for group in range(footer.num_row_groups)]
    statistics = [chunk.statistics for chunk in chunks]
    if not all(one is not None and one.has_null_count for one in statistics):
        return None
    nulls = sum(one.null_count for one in statistics)
    valued = [one for one, chunk in zip(statistics, chunks, strict=True) if one.null_count < chunk.num_values]
    hides_nan = footer.schema.column(at).physical_type in _FRACTIONS and not str(footer.created_by).startswith(_SPARK)
    if hides_nan or not valued or not all(one.has_min_max for one in valued):
        return ColumnBounds(nulls, None, None)
    return ColumnBounds(nulls, min(one.min for one in valued), max(one.max for one in valued))
