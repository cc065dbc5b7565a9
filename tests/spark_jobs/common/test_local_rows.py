from datetime import date

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import spark_ddl
from spark_jobs.common.stage_table import local_rows, no_rows

pytestmark = pytest.mark.spark


def test_rows_are_a_part_of_the_plan(spark: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    schema = pa.schema([("name", pa.string()), ("ds", pa.date32()), ("rows", pa.int64())])
    rows = [("events", date(2026, 11, 20), 7), ("items", date(2026, 11, 19), None)]
    frame = local_rows(spark, rows, schema)
    assert [tuple(row) for row in frame.collect()] == rows
    frame.explain()
    plan = capsys.readouterr().out
    assert "LocalTableScan" in plan
    assert "Python" not in plan


@pytest.mark.parametrize("table", TABLES)
def test_an_empty_table_has_the_types_of_a_full_one(spark: SparkSession, table: str) -> None:
    empty = no_rows(spark, table)
    assert empty.dtypes == spark.createDataFrame([], spark_ddl(TABLES[table])).dtypes
    assert empty.collect() == []
