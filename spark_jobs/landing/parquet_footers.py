"""Groups Parquet files by their schema, and reads the statistics of columns from their footers."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_tasks.lake.file_location import table_location

_EXACT: Final = 1 << 53
"""A double represents every whole number up to this one."""
_READERS: Final = 8
"""Footers that are read at a time: a footer is small, and an object store takes long to respond."""


@dataclass(frozen=True)
class SchemaGroup:
    """Files with the same schema."""

    files: list[str]
    schema: pa.Schema
    footers: list[pq.FileMetaData]

    def is_empty(self, column: str) -> bool:
        """Return whether the statistics show that the column is NULL in every row."""
        chunks = list(self._chunks(column))
        return bool(chunks) and all(_null_count(chunk.statistics) == chunk.num_values for chunk in chunks)

    def is_exact(self, column: str) -> bool:
        """Return whether the statistics show that a double represents every number of the column."""
        found = [chunk.statistics for chunk in self._chunks(column)]
        return all(statistics is not None and _is_exact(statistics) for statistics in found)

    def _chunks(self, column: str) -> Iterable[pq.ColumnChunkMetaData]:
        for footer in self.footers:
            for group in range(footer.num_row_groups):
                rows = footer.row_group(group)
                for number in range(rows.num_columns):
                    if rows.column(number).path_in_schema.lower() == column.lower():
                        yield rows.column(number)


def _null_count(statistics: pq.Statistics | None) -> int | None:
    return int(statistics.null_count) if statistics is not None and statistics.has_null_count else None


def _is_exact(statistics: pq.Statistics) -> bool:
    if not statistics.has_min_max:
        return bool(statistics.has_null_count and statistics.num_values == 0)
    return bool(max(abs(statistics.min), abs(statistics.max)) <= _EXACT)


def group_by_schema(paths: Sequence[str]) -> list[SchemaGroup]:
    """Return the files grouped by the names and types of their columns, in the order of `paths`.

    Raises:
        pa.ArrowInvalid, OSError: a file is no Parquet file, or damaged; the error's note is its path.
    """
    system, inner = table_location(paths)

    def footer(path: str, place: str) -> pq.FileMetaData:
        try:
            return pq.read_metadata(place, filesystem=system)
        except (pa.ArrowInvalid, OSError) as error:
            error.add_note(path)
            raise

    with ThreadPoolExecutor(_READERS) as readers:
        footers = list(readers.map(footer, paths, inner))
    groups: dict[str, SchemaGroup] = {}
    for path, read in zip(paths, footers, strict=True):
        schema = read.schema.to_arrow_schema().remove_metadata()
        group = groups.setdefault(str(schema), SchemaGroup([], schema, []))
        group.files.append(path)
        group.footers.append(read)
    return list(groups.values())
