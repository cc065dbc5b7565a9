"""Stages rows of tables as Parquet files, and reads staged and published rows.

10.7 million events of 15 days, two cores: 12.8 s to write, 2.5 s to read and 270 MB with snappy and dictionaries; 9.4,
1.5 and 213 as here. As many landed records, which are texts: 19.2 s, 3.9 s and 458 MB; 13.4, 2.6 and 319. zstd alone
was up to 10 % slower than snappy, snappy without dictionaries larger (278 and 575 MB).

From Python objects, Spark starts a Python process to read them back: 0.9 s the first time in a job and 0.1 s each time
after. An Arrow table takes 0.02 s.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from pipeline_tasks.lake.files import damaged_parquet_errors, file_location
from pipeline_tasks.lake.lake import Days, Lake
from pipeline_tasks.lake.parquet_footers import file_days
from pipeline_tasks.lake.staging import StagedTable
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema, spark_ddl
from pipeline_tasks.tables.table_contract import COMPRESSION

LANDED: Final = {"compression": COMPRESSION, "parquet.enable.dictionary": "false"}
"""Options of landed records."""
_UNLIKE: Final = {"events": ("user_key", "session_id", "item_id")}
"""Table -> columns without a dictionary. In the tables of recommendations ids repeat: a user has 20 rows."""
FEW_ROWS: Final = 2_000_000
"""Most rows for which tables are staged at the same time. A day of 620,000 events is cleaned in 33 s in place of 41. 19
million events take 183 s in place of 164, because each table needs all of the memory."""
_SPARK_SCHEMA: Final = b"org.apache.spark.sql.parquet.row.metadata"
_COPY: Final = "_ds"
"""Copy of `ds` that partitions the files. `ds` itself stays in the files, because Iceberg reads its bounds there."""


def parquet_options(table: str) -> Mapping[str, str]:
    """Return the options for writing a table of the lake."""
    return {"compression": COMPRESSION} | {
        f"parquet.enable.dictionary#{column}": "false" for column in _UNLIKE.get(table, ())
    }


def local_rows(spark: SparkSession, rows: Sequence[Sequence[object]], schema: pa.Schema) -> DataFrame:
    """Return the rows; their values are in the order of the schema."""
    named = [dict(zip(schema.names, row, strict=True)) for row in rows]
    # With the schema, because Spark Connect does not read that of an empty table.
    return spark.createDataFrame(pa.Table.from_pylist(named, schema), from_arrow_schema(schema))


def no_rows(spark: SparkSession, table: str) -> DataFrame:
    """Return an empty table of the lake. Spark removes joins with it from the plan."""
    return local_rows(spark, [], arrow_schema(TABLES[table]))


def stage_table(lake: Lake, name: str, rows: DataFrame, days: Sequence[date]) -> StagedTable:
    """Write `rows` (with the columns of the contract) to a new folder, one day per file; return the staged files."""
    folder = lake.new_data_folder(name)
    contract = rows.select(*TABLES[name].column_names).withColumn(_COPY, F.col("ds"))
    contract.write.options(**parquet_options(name)).partitionBy(_COPY).parquet(folder)
    counts = file_rows(folder)
    return StagedTable(days=list(days), files=sorted(counts), rows=sum(counts.values()))


def stage_tables(
    lake: Lake, tables: Mapping[str, DataFrame], days: Sequence[date], rows_read: int
) -> dict[str, StagedTable]:
    """Stage tables that are made from `rows_read` landed rows, up to FEW_ROWS at the same time.

    While Spark plans, compiles or writes the last file of one table, another uses the cores. All DataFrames must be
    built before the call, because `lenient` changes the mode of the whole session.
    """
    with ThreadPoolExecutor(len(tables) if rows_read <= FEW_ROWS else 1) as threads:
        staged = {name: threads.submit(stage_table, lake, name, rows, days) for name, rows in tables.items()}
        return {name: waiting.result() for name, waiting in staged.items()}


def file_rows(folder: str) -> dict[str, int]:
    """Return the rows of every Parquet file below `folder`, from the footers."""
    system, inner = file_location(folder)
    prefix = folder[: len(folder) - len(inner)]
    entries = system.get_file_info(fs.FileSelector(inner, recursive=True, allow_not_found=True))
    paths = [entry.path for entry in entries if entry.path.endswith(".parquet")]
    return {prefix + path: pq.read_metadata(path, filesystem=system).num_rows for path in paths}


def rows_by_day(staged: StagedTable) -> dict[date, int]:
    """Return the staged rows of each day, 0 for a day without a file."""
    counts = dict.fromkeys(staged.days, 0)
    for file in file_days(staged.files):
        # A file that Spark partitioned by the copy of ds holds one day.
        assert file.ds is not None, file
        counts[file.ds] += file.rows
    return counts


def staged_column(file: str, name: str) -> pa.ChunkedArray:
    """Read one column of one staged file."""
    return staged_columns(file, name)[name]


def staged_columns(file: str, *names: str) -> pa.Table:
    """Read columns of one staged file, in the order of `names`."""
    system, inner = file_location(file)
    with damaged_parquet_errors(inner):
        return pq.read_table(inner, columns=list(names), filesystem=system)


def spark_schema(file: str) -> StructType:
    """Return the schema with which Spark wrote a Parquet file, from its footer."""
    system, inner = file_location(file)
    with damaged_parquet_errors(inner):
        metadata = pq.read_metadata(inner, filesystem=system).metadata
    return StructType.fromJson(json.loads(metadata[_SPARK_SCHEMA]))


def read_table(
    spark: SparkSession,
    lake: Lake,
    name: str,
    days: Days | None = None,
    staged: StagedTable | None = None,
    snapshot_id: int | None = None,
) -> DataFrame:
    """Return the rows of the days in a snapshot of the table (the current one by default).

    All days of `staged` replace the published rows of the same days.
    """
    replaced, fresh = (staged.days, staged.files) if staged is not None else ([], [])
    files = lake.files(name, days, snapshot_id, without=replaced) + fresh
    schema = spark_ddl(TABLES[name])
    return spark.read.schema(schema).parquet(*files) if files else no_rows(spark, name)
