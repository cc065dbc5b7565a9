from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from pipeline_tasks.gates import few_rows
from pipeline_tasks.gates.few_rows import rows_found_among_few

pytestmark = pytest.mark.spark

MONDAY = date(2026, 11, 23)
NOT_AS_STAGED = (
    "SELECT ds, said, staged FROM (SELECT ds, sum(rows) AS said FROM {batch} GROUP BY ds) "
    "FULL JOIN (SELECT ds, sum(rows) AS staged FROM staged_rows GROUP BY ds) USING (ds) "
    "WHERE coalesce(said, 0) <> coalesce(staged, 0)"
)


@pytest.fixture
def said(spark: SparkSession, tmp_path: Path) -> DataFrame:
    rows = [(MONDAY, 2), (MONDAY, 3), (date(2026, 11, 24), None), (None, 7)]
    spark.createDataFrame(rows, "ds date, rows long").write.parquet(str(tmp_path / "said"))
    return spark.read.parquet(str(tmp_path / "said"))


@pytest.mark.parametrize("staged", [[(MONDAY, 5)], [(MONDAY, 4), (date(2026, 11, 25), 1)], []])
def test_it_finds_what_spark_finds(spark: SparkSession, said: DataFrame, staged: list[tuple[date, int]]) -> None:
    spark.createDataFrame(staged, "ds date, rows long").createOrReplaceTempView("staged_rows")
    said.createOrReplaceTempView("said")
    assert rows_found_among_few(said, NOT_AS_STAGED) == spark.sql(NOT_AS_STAGED.format(batch="said")).count()


def test_many_rows_are_left_to_spark(said: DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(few_rows, "FEW", 3)
    assert rows_found_among_few(said, "SELECT * FROM {batch}") is None


def test_rows_of_no_file_and_queries_without_an_answer_are_left_to_spark(spark: SparkSession, said: DataFrame) -> None:
    assert rows_found_among_few(spark.createDataFrame([(1,)], "n int"), "SELECT * FROM {batch}") is None
    assert rows_found_among_few(said, "SELECT nothing FROM {batch}") is None
