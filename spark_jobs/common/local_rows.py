"""Few rows of the driver's as a DataFrame that is a part of the plan.

Given Python objects, Spark starts a Python process to read them back: .9 s the first time in a job and .1 s each time
after it, where an Arrow table takes .02 s.
"""

from collections.abc import Sequence

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema


def local_rows(spark: SparkSession, rows: Sequence[Sequence[object]], schema: pa.Schema) -> DataFrame:
    """Return the rows, whose values are in the order of the schema."""
    named = [dict(zip(schema.names, row, strict=True)) for row in rows]
    return spark.createDataFrame(pa.Table.from_pylist(named, schema))


def no_rows(spark: SparkSession, table: str) -> DataFrame:
    """Return a table of the lake as it is without any row; what is joined to it leaves the plan."""
    return local_rows(spark, [], arrow_schema(TABLES[table]))
