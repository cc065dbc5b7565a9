"""Reads Parquet files, those with times in nanoseconds too."""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, LongType

from pipeline_tasks.storage.file_location import file_location

_AS_LONG: Final = "spark.sql.legacy.parquet.nanosAsLong"
"""Spark refuses a file with a time in nanoseconds, which is what pandas 2 writes of every time; with this it is a
number. It stays on, as it must be when the files are read."""


def read_parquet(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    """Return the files' columns, times in nanoseconds as timestamps (to the microsecond), and `_metadata`."""
    spark.conf.set(_AS_LONG, "true")
    raw = spark.read.option("mergeSchema", str(len(paths) > 1).lower()).parquet(*paths)
    times = _times(paths[0])
    return raw.withColumns(
        {field.name: _time(field.name) for field in raw.schema if _is_number(field.dataType) and field.name in times}
    )


def _times(path: str) -> set[str]:
    system, inner = file_location(path)
    return {field.name for field in pq.read_schema(inner, filesystem=system) if pa.types.is_timestamp(field.type)}


def _is_number(dtype: DataType) -> bool:
    return isinstance(dtype, LongType)


def _time(name: str) -> Column:
    return F.timestamp_micros(F.expr(f"`{name}` div 1000"))
