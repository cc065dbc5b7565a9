"""Reads Parquet files of one or several schemas, also with times in nanoseconds."""

import re
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, LongType, StructField, StructType

from pipeline_tasks.sources.sources import SourceError
from spark_jobs.common.expression_tokens import quoted
from spark_jobs.landing.joined_types import union_of_types
from spark_jobs.landing.parquet_footers import SchemaGroup, group_by_schema

_AS_LONG: Final = "spark.sql.legacy.parquet.nanosAsLong"
"""Setting with which Spark reads a time in nanoseconds, as pandas 2 writes it, as a number; without it, Spark refuses
the file. It stays on, because the files are read later."""
_PATTERN_SIGN: Final = re.compile(r"[\\{}\[\]*?]")


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
        twins = [name for name in group.schema.names if names.count(name.lower()) > 1]
        if twins:
            raise SourceError(
                f"{group.files[0]} has the columns {' and '.join(twins)}, and Spark does not tell upper from lower "
                f"case: write the file with other names"
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
    return raw.withColumns(times)


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
