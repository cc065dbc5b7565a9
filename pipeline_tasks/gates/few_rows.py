"""Answers a rule's query over few rows by DuckDB, in some 50 ms: a reconciliation's take a cold Java 3 s together.

Imports no Great Expectations.
"""

from contextlib import closing
from functools import lru_cache
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame

from pipeline_tasks.gates.told_by_footers import told_by_footers
from pipeline_tasks.storage.footer_bounds import parquet_location

FEW: Final = 10_000
"""Rows: a reconciliation has some ten a day."""
BESIDE: Final = "staged_rows"
"""The view that such a query may name beside its batch."""


# Great Expectations asks every rule for its metrics twice.
@lru_cache(maxsize=64)
def rows_found_among_few(rows: DataFrame, query: str) -> int | None:
    """Return how many rows a query over `{batch}` and `staged_rows` returns, in SQL that Spark and DuckDB share.

    None where it is Spark's to answer: the rows are many, or are in no file; or the query cannot be answered, which
    Spark says better.
    """
    told = told_by_footers(rows).rows()
    if told is None or told > FEW:
        return None
    batch = pa.concat_tables(
        pq.read_table(path, filesystem=system) for system, path in map(parquet_location, sorted(rows.inputFiles()))
    )
    with closing(duckdb.connect()) as connection:
        connection.register("gate_batch", batch)
        if BESIDE in query:
            connection.register(BESIDE, rows.sparkSession.table(BESIDE).toArrow())
        try:
            found = connection.execute(f"SELECT count(*) FROM ({query.format(batch='gate_batch')})").fetchall()
        except duckdb.Error:
            return None
    return int(found[0][0])
