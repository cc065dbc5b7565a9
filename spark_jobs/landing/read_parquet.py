"""Reads Parquet files of one or several schemas, also with times in nanoseconds."""

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, LongType, StructField, StructType

from pipeline_tasks.lake.files import table_location
from pipeline_tasks.sources.sources import SourceError
from spark_jobs.common.expression_tokens import quoted
from spark_jobs.landing.joined_types import union_of_types

_EXACT: Final = 1 << 53
"""A double represents every whole number up to this one."""
_READERS: Final = 8
"""Footers that are read at a time: a footer is small, and an object store takes long to respond."""
_AS_LONG: Final = "spark.sql.legacy.parquet.nanosAsLong"
"""Setting with which Spark reads a time in nanoseconds, as pandas 2 writes it, as a number; without it, Spark refuses
the file. It stays on, because the files are read later."""
_PATTERN_SIGN: Final = re.compile(r"[\\{}\[\]*?]")


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


def literal_paths(paths: Sequence[str]) -> list[str]:
    """Return the paths with brackets, stars and the like escaped, because Spark reads a path as a pattern.

    Spark's option for literal paths (`__globPaths__`) reads every file again for each path with such a sign.
    """
    return [_PATTERN_SIGN.sub(r"\\\g<0>", path) for path in paths]


def read_parquet(spark: SparkSession, paths: Sequence[str], found: Column) -> DataFrame:
    """Return the files' columns, times in nanoseconds as timestamps (to the microsecond), and `found`.

    A column with different types in the files gets one type that holds all of its values (see `joined_type`).

    Raises:
        SourceError: a file is damaged, or has two columns of the same name.
    """
    groups = _groups(paths)
    spark.conf.set(_AS_LONG, "true")
    frames = [_read(spark, group).select("*", found) for group in groups]
    return join_groups(groups, frames)


def join_groups(groups: Sequence[SchemaGroup], frames: Sequence[DataFrame]) -> DataFrame:
    """Return the rows of all frames as one table; each frame reads the files of one group."""
    if len(groups) == 1 and "void" not in frames[0].schema.simpleString():
        return frames[0]
    return union_of_types(_without_empty(groups, frames), lambda name: _is_id(groups, frames, name))


def _groups(paths: Sequence[str]) -> list[SchemaGroup]:
    try:
        groups = group_by_schema(paths)
    except (pa.ArrowInvalid, OSError) as error:
        file = error.__notes__[0] if getattr(error, "__notes__", None) else ", ".join(paths)
        raise SourceError(f"{file} is no Parquet file, or is cut off or damaged ({error}): deliver it again") from error
    for group in groups:
        names = [name.lower() for name in group.schema.names]
        colliding = [name for name in group.schema.names if names.count(name.lower()) > 1]
        if colliding:
            raise SourceError(
                f"{group.files[0]} has the columns {' and '.join(colliding)}, and Spark ignores case: "
                f"write the file with other names"
            )
    return groups


def _read(spark: SparkSession, group: SchemaGroup) -> DataFrame:
    raw = spark.read.parquet(*literal_paths(group.files))
    nanoseconds = {
        field.name for field in group.schema if pa.types.is_timestamp(field.type) and field.type.unit == "ns"
    }
    times = {
        field.name: F.timestamp_micros(F.expr(f"{quoted(field.name)} div 1000"))
        for field in raw.schema
        if isinstance(field.dataType, LongType) and field.name in nanoseconds
    }
    return raw.withColumns(times) if times else raw


def _without_empty(groups: Sequence[SchemaGroup], frames: Sequence[DataFrame]) -> list[DataFrame]:
    """Drop the columns of a group that are NULL in all of its rows and have another type in other groups."""
    kept = []
    for group, frame in zip(groups, frames, strict=True):
        others = [other.schema for other in frames if other is not frame]
        clashing = [name for name in frame.columns if _clashes(name, frame.schema, others)]
        kept.append(frame.drop(*(F.col(quoted(name)) for name in clashing if group.is_empty(name))))
    return kept


def _clashes(name: str, own: StructType, others: Sequence[StructType]) -> bool:
    types = {field.dataType.simpleString() for schema in others for field in _named(schema, name)}
    return bool(types - {own[name].dataType.simpleString()})


def _named(schema: StructType, name: str) -> list[StructField]:
    return [field for field in schema.fields if field.name.lower() == name.lower()]


def _is_id(groups: Sequence[SchemaGroup], frames: Sequence[DataFrame], name: str) -> bool:
    """Return whether a column is a double in one group, and holds whole numbers too long for a double in another."""
    types = [[field.dataType for field in _named(frame.schema, name)] for frame in frames]
    if not any(isinstance(dtype, DoubleType) for found in types for dtype in found):
        return False
    whole = [group for group, found in zip(groups, types, strict=True) if any(isinstance(t, LongType) for t in found)]
    return any(not group.is_exact(name) for group in whole)
