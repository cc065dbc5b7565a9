from datetime import date
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from pipeline_tasks.quality import duckdb_metrics
from pipeline_tasks.quality.duckdb_metrics import count_with_duckdb
from pipeline_tasks.quality.gate_expectations import ExpectNoRowsFrom
from pipeline_tasks.quality.gate_rules import best_first, ranks_without_gaps

pytestmark = pytest.mark.spark

MONDAY = date(2026, 11, 23)
NOT_AS_STAGED = (
    "SELECT ds, reported, staged FROM (SELECT ds, sum(rows) AS reported FROM {batch} GROUP BY ds) "
    "FULL JOIN (SELECT ds, sum(rows) AS staged FROM staged_rows GROUP BY ds) USING (ds) "
    "WHERE coalesce(reported, 0) <> coalesce(staged, 0)"
)


@pytest.fixture
def reported(spark: SparkSession, tmp_path: Path) -> DataFrame:
    rows = [(MONDAY, 2), (MONDAY, 3), (date(2026, 11, 24), None), (None, 7)]
    spark.createDataFrame(rows, "ds date, rows long").write.parquet(str(tmp_path / "reported"))
    return spark.read.parquet(str(tmp_path / "reported"))


@pytest.mark.parametrize("staged", [[(MONDAY, 5)], [(MONDAY, 4), (date(2026, 11, 25), 1)], []])
def test_duckdb_counts_as_spark_does(spark: SparkSession, reported: DataFrame, staged: list[tuple[date, int]]) -> None:
    spark.createDataFrame(staged, "ds date, rows long").createOrReplaceTempView("staged_rows")
    reported.createOrReplaceTempView("reported")
    assert count_with_duckdb(reported, NOT_AS_STAGED) == spark.sql(NOT_AS_STAGED.format(batch="reported")).count()


def test_a_large_batch_on_this_machine_is_read_from_its_files(
    reported: DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_metrics, "SMALL_BATCH", 3)
    assert count_with_duckdb(reported, "SELECT * FROM {batch} WHERE rows > 2") == 2


def test_a_large_batch_on_another_machine_is_left_to_spark(
    reported: DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_metrics, "SMALL_BATCH", 3)
    monkeypatch.setattr(duckdb_metrics, "is_on_this_machine", lambda rows, files: False)
    assert count_with_duckdb(reported, "SELECT * FROM {batch}") is None


@pytest.mark.parametrize("rule", [ranks_without_gaps("user_key", "item_id"), best_first("user_key")])
@pytest.mark.parametrize("few", [0, 10_000])
def test_rules_of_ranked_rows_count_as_spark_does(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: ExpectNoRowsFrom, few: int
) -> None:
    """Ranked rows with gaps, repeated ranks and items, NULLs and NaN, read in both ways."""
    rng, folder = np.random.default_rng(5), str(tmp_path / "staged")
    drawn = [_slot(rng, user, rank) for user in range(60) for rank in range(1, 6) if rng.random() < 0.97]
    spark.createDataFrame(drawn, "user_key string, rank int, item_id string, score double").write.parquet(folder)
    staged = spark.read.parquet(folder)
    staged.createOrReplaceTempView("staged")
    found = spark.sql(rule.unexpected_rows_query.format(batch="staged")).count()
    monkeypatch.setattr(duckdb_metrics, "SMALL_BATCH", few)
    assert found > 10
    assert count_with_duckdb(staged, rule.unexpected_rows_query) == found


def _slot(rng: np.random.Generator, user: int, rank: int) -> tuple[str | None, int | None, str, float]:
    wrong = int(rng.integers(1, 6)) if rng.random() < 0.05 else rank
    score = float("nan") if rng.random() < 0.05 else 1 - rank / 10 + float(rng.normal(0, 0.05))
    return (
        None if user == 0 else f"u{user}",
        None if rng.random() < 0.03 else wrong,
        f"i{rng.integers(0, 40)}",
        score,
    )


def test_rows_without_files_and_failing_queries_are_left_to_spark(spark: SparkSession, reported: DataFrame) -> None:
    assert count_with_duckdb(spark.createDataFrame([(1,)], "n int"), "SELECT * FROM {batch}") is None
    assert count_with_duckdb(reported, "SELECT nothing FROM {batch}") is None
