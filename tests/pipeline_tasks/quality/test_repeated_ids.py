from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from pipeline_tasks.quality import repeated_ids as module
from pipeline_tasks.quality.gate_expectations import ExpectIdsToDifferWithinDays
from pipeline_tasks.quality.repeated_ids import repeated_ids

pytestmark = pytest.mark.spark

MONDAY = date(2026, 11, 23)
Rows = list[tuple[date, int | None]]
RULE = ExpectIdsToDifferWithinDays(
    id_column="id",
    unexpected_rows_query="SELECT ds, id FROM {batch} GROUP BY ds, id HAVING count(*) > 1",
    meta={"shared_sql": True},
)


def frame(spark: SparkSession, folder: Path, *files: Rows) -> DataFrame:
    for number, rows in enumerate(files):
        days, ids = zip(*rows, strict=True)
        table = pa.table({"id": pa.array(ids, pa.int64()), "ds": pa.array(days, pa.date32())})
        pq.write_table(table, folder / f"{number}.parquet")
    return spark.read.parquet(str(folder))


def counted_by_spark(rows: DataFrame) -> int:
    return rows.groupBy("ds", "id").count().where("count > 1").count()


def test_ids_are_counted_across_the_files_of_a_day_and_not_across_days(spark: SparkSession, tmp_path: Path) -> None:
    tuesday = MONDAY + timedelta(1)
    rows = frame(
        spark,
        tmp_path,
        [(MONDAY, 1), (MONDAY, 2), (MONDAY, -(2**63))],
        [(MONDAY, 2), (MONDAY, 2), (MONDAY, None), (MONDAY, -(2**63))],
        [(MONDAY, None), (MONDAY, 5)],
        [(tuesday, 1), (tuesday, 5), (tuesday, None)],
    )
    assert repeated_ids(rows, "id") == 3 == counted_by_spark(rows), "2, the smallest number, and NULL"
    assert repeated_ids(rows.sparkSession.read.parquet(f"{tmp_path}/3.parquet"), "id") == 0


def test_texts_are_counted_by_the_query(spark: SparkSession, tmp_path: Path) -> None:
    texts = pa.array(["a", "b", None, "a"], pa.string()), pa.array(["b", "a", None], pa.string())
    for number, ids in enumerate(texts):
        pq.write_table(pa.table({"id": ids, "ds": [MONDAY] * len(ids)}), tmp_path / f"{number}.parquet")
    rows = spark.read.parquet(str(tmp_path))
    assert repeated_ids(rows, "id") is None
    assert RULE.precounted(rows) == {"table.query_rows": 3}
    assert counted_by_spark(rows) == 3


def test_files_of_several_days_are_counted_by_the_query(spark: SparkSession, tmp_path: Path) -> None:
    rows = frame(spark, tmp_path, [(MONDAY, 1), (MONDAY + timedelta(1), 1)], [(MONDAY, 1)])
    assert repeated_ids(rows, "id") is None
    assert RULE.precounted(rows) == {"table.query_rows": 1}


def test_a_cluster_and_rows_that_are_in_no_file_are_left_to_spark(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = frame(spark, tmp_path, [(MONDAY, 1), (MONDAY, 1)])
    monkeypatch.setattr(module, "is_on_this_machine", lambda rows, files: False)
    assert repeated_ids(rows, "id") is None
    in_no_file = spark.createDataFrame([(MONDAY, 1), (MONDAY, 1), (MONDAY, 2)], "ds date, id long")
    assert RULE.precounted(in_no_file) == {"table.query_rows": None}
    assert repeated_ids(rows, "nowhere") is None
