"""What the footer of a Parquet file says of its columns: how many NULLs, the least and the greatest value."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import pyarrow.parquet as pq

from pipeline_tasks.lake.file_location import file_location
from pipeline_tasks.lake.parquet_failures import parquet_failures

_SPARK: Final = "parquet-mr"
"""Its writer takes a NaN for the greatest value, or tells none; Arrow's leaves NaN out, so that bounds hide it."""
_FRACTIONS: Final = ("FLOAT", "DOUBLE")


class ColumnBounds(NamedTuple):
    """Of one column of one file."""

    nulls: int
    low: Any
    """None where the footer does not tell, or all is NULL."""
    high: Any


class FileBounds(NamedTuple):
    """Of one file."""

    rows: int
    columns: Mapping[str, ColumnBounds]
    """Those that are no list, and whose NULLs the footer counts."""


def footer_bounds(file: str) -> FileBounds:
    """Return the bounds of a file's columns."""
    system, path = file_location(file)
    with parquet_failures(path):
        footer = pq.read_metadata(path, filesystem=system)
    plain = [at for at in range(footer.num_columns) if footer.schema.column(at).max_repetition_level == 0]
    bounds = {footer.schema.column(at).path: _bounds(footer, at) for at in plain}
    return FileBounds(footer.num_rows, {name: told for name, told in bounds.items() if told is not None})


def _bounds(footer: pq.FileMetaData, at: int) -> ColumnBounds | None:
    chunks = [footer.row_group(group).column(at) for group in range(footer.num_row_groups)]
    told = [chunk.statistics for chunk in chunks]
    if not all(one is not None and one.has_null_count for one in told):
        return None
    nulls = sum(one.null_count for one in told)
    valued = [one for one, chunk in zip(told, chunks, strict=True) if one.null_count < chunk.num_values]
    hidden = footer.schema.column(at).physical_type in _FRACTIONS and not str(footer.created_by).startswith(_SPARK)
    if hidden or not valued or not all(one.has_min_max for one in valued):
        return ColumnBounds(nulls, None, None)
    return ColumnBounds(nulls, min(one.min for one in valued), max(one.max for one in valued))
