from datetime import date
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from pipeline_tasks.quality import duckdb_metrics
from pipeline_tasks.quality.duckdb_metrics import count_with_duckdb
from pipeline_tasks.quality.gate_expectations import ExpectNoRowsFrom
from pipeline_tasks.quality.ranking_rules import best_first, ranked

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
    assert count_with_duckdb(said, NOT_AS_STAGED) == spark.sql(NOT_AS_STAGED.format(batch="said")).count()


def test_many_rows_of_this_machine_are_read_where_they_lie(said: DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_metrics, "FEW", 3)
    assert count_with_duckdb(said, "SELECT * FROM {batch} WHERE rows > 2") == 2


def test_many_rows_elsewhere_are_left_to_spark(said: DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_metrics, "FEW", 3)
    monkeypatch.setattr(duckdb_metrics, "_is_here", lambda rows, files: False)
    assert count_with_duckdb(said, "SELECT * FROM {batch}") is None


@pytest.mark.parametrize("rule", [ranked("user_key", "item_id"), best_first("user_key")])
@pytest.mark.parametrize("few", [0, 10_000])
def test_rules_of_ranked_rows_find_what_spark_finds(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: ExpectNoRowsFrom, few: int
) -> None:
    """Among shelves with gaps, ranks and items that come twice, NULLs and NaN, from either way of reading them."""
    rng, folder = np.random.default_rng(5), str(tmp_path / "shelves")
    drawn = [_slot(rng, user, rank) for user in range(60) for rank in range(1, 6) if rng.random() < 0.97]
    spark.createDataFrame(drawn, "user_key string, rank int, item_id string, score double").write.parquet(folder)
    shelves = spark.read.parquet(folder)
    shelves.createOrReplaceTempView("shelves")
    found = spark.sql(rule.unexpected_rows_query.format(batch="shelves")).count()
    monkeypatch.setattr(duckdb_metrics, "FEW", few)
    assert found > 10
    assert count_with_duckdb(shelves, rule.unexpected_rows_query) == found


def _slot(rng: np.random.Generator, user: int, rank: int) -> tuple[str | None, int | None, str, float]:
    wrong = int(rng.integers(1, 6)) if rng.random() < 0.05 else rank
    score = float("nan") if rng.random() < 0.05 else 1 - rank / 10 + float(rng.normal(0, 0.05))
    return (
        None if user == 0 else f"u{user}",
        None if rng.random() < 0.03 else wrong,
        f"i{rng.integers(0, 40)}",
        score,
    )


def test_rows_of_no_file_and_queries_without_an_answer_are_left_to_spark(spark: SparkSession, said: DataFrame) -> None:
    assert count_with_duckdb(spark.createDataFrame([(1,)], "n int"), "SELECT * FROM {batch}") is None
    assert count_with_duckdb(said, "SELECT nothing FROM {batch}") is None
