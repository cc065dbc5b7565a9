"""Counts the rows of a rule's query with DuckDB, where the batch is small or on the machine that runs Spark.

Small batches take about 50 ms, where a cold JVM takes 3 s for the queries of a reconciliation. Large ones: to check
that no item is twice in 100,000 lists of 20 takes Spark 2.3 to 5 s and DuckDB .1 to .3 s. For a million lists DuckDB
needs 1.5 s and 1 GB. This module does not import Great Expectations.
"""

from collections.abc import Sequence
from contextlib import closing
from functools import lru_cache
from tempfile import TemporaryDirectory
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs
from pyspark.sql import DataFrame

from pipeline_tasks.lake.files import file_location
from pipeline_tasks.quality.parquet_statistics import statistics_from_footers
from pipeline_tasks.spark_place import cores, is_local

SMALL_BATCH: Final = 10_000
"""Maximum number of rows of a batch that is read from any storage. A reconciliation has about ten rows a day."""
MEMORY_LIMIT: Final = "1GB"
"""Memory of a query; what does not fit is spilled to disk."""
STAGED_ROWS_VIEW: Final = "staged_rows"
"""The only view that such a query may use in addition to its batch."""


# Cached, because Great Expectations resolves the metrics of every rule twice.
@lru_cache(maxsize=64)
def count_with_duckdb(rows: DataFrame, query: str) -> int | None:
    """Return the number of rows of a query over `{batch}` and `staged_rows`, in SQL that Spark and DuckDB share.

    Returns None where Spark has to count: the batch is large and not on this machine, the batch is not read from files,
    or the query fails (Spark then gives the better error).
    """
    n_rows, files = statistics_from_footers(rows).rows(), sorted(rows.inputFiles())
    is_large = n_rows is not None and n_rows > SMALL_BATCH
    if n_rows is None or not files or (is_large and not is_on_this_machine(rows, files)):
        return None
    with TemporaryDirectory() as spill, closing(_connect(rows, spill)) as connection:
        if STAGED_ROWS_VIEW in query:
            connection.register(STAGED_ROWS_VIEW, rows.sparkSession.table(STAGED_ROWS_VIEW).toArrow())
        try:
            if is_large:
                paths = [file_location(file)[1] for file in files]
                connection.read_parquet(paths, hive_partitioning=False).create_view("gate_batch")
            else:
                connection.register("gate_batch", _read_files(files))
            found = connection.execute(f"SELECT count(*) FROM ({query.format(batch='gate_batch')})").fetchall()
        except duckdb.Error:
            return None
    return int(found[0][0])


def _connect(rows: DataFrame, spill: str) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(
        config={
            "memory_limit": MEMORY_LIMIT,
            "threads": cores(rows.sparkSession),
            "temp_directory": spill,
            "preserve_insertion_order": False,
            # As in Spark.
            "default_null_order": "nulls_first",
        }
    )


def is_on_this_machine(rows: DataFrame, files: Sequence[str]) -> bool:
    """Return whether both the files and Spark are on this machine. On a cluster, Spark is nearer to the rows."""
    return is_local(rows.sparkSession) and all(isinstance(file_location(file)[0], fs.LocalFileSystem) for file in files)


def _read_files(files: Sequence[str]) -> pa.Table:
    return pa.concat_tables(
        pq.read_table(path, filesystem=system, partitioning=None) for system, path in map(file_location, files)
    )
