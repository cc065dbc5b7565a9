"""Groups Parquet files by their schema, and reads from their footers what a column holds."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_tasks.lake.file_location import table_location

_EXACT: Final = 1 << 53
"""A double holds every whole number up to it."""
_READERS: Final = 8
"""A footer is a small read, which an object store answers late."""


@dataclass(frozen=True)
class SameSchema:
    """Files of one schema."""

    files: list[str]
    schema: pa.Schema
    footers: list[pq.FileMetaData]

    def is_empty(self, column: str) -> bool:
        """Whether the column is NULL in every row, as far as the footers tell."""
        chunks = list(self._chunks(column))
        return bool(chunks) and all(_nulls(chunk.statistics) == chunk.num_values for chunk in chunks)

    def is_exact(self, column: str) -> bool:
        """Whether a double holds every number of the column, as far as the footers tell."""
        found = [chunk.statistics for chunk in self._chunks(column)]
        return all(seen is not None and _is_exact(seen) for seen in found)

    def _chunks(self, column: str) -> Iterable[pq.ColumnChunkMetaData]:
        for footer in self.footers:
            for group in range(footer.num_row_groups):
                rows = footer.row_group(group)
                for number in range(rows.num_columns):
                    if rows.column(number).path_in_schema.lower() == column.lower():
                        yield rows.column(number)


def _nulls(seen: pq.Statistics | None) -> int | None:
    return int(seen.null_count) if seen is not None and seen.has_null_count else None


def _is_exact(seen: pq.Statistics) -> bool:
    if not seen.has_min_max:
        return bool(seen.has_null_count and seen.num_values == 0)
    return bool(max(abs(seen.min), abs(seen.max)) <= _EXACT)


def group_by_schema(paths: Sequence[str]) -> list[SameSchema]:
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
    groups: dict[str, SameSchema] = {}
    for path, read in zip(paths, footers, strict=True):
        schema = read.schema.to_arrow_schema().remove_metadata()
        group = groups.setdefault(str(schema), SameSchema([], schema, []))
        group.files.append(path)
        group.footers.append(read)
    return list(groups.values())
