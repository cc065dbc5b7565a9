from datetime import date, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.config.settings import SimulationSettings
from spark_jobs.simulate_shop import simulate_shop

pytestmark = pytest.mark.spark

SMALL = SimulationSettings(events=5_000, users=200, items=150)
LAST = date(2026, 11, 20)


def lines(folder: Path, kind: str, day: date) -> list[bytes]:
    return sorted(
        line for file in (folder / kind / f"ds={day}").glob("part-*") for line in file.read_bytes().splitlines()
    )


def test_the_files_of_a_day_depend_on_that_day_alone(spark: SparkSession, tmp_path: Path) -> None:
    week = [LAST - timedelta(days=back) for back in range(6, -1, -1)]
    simulate_shop(spark, SMALL, str(tmp_path / "week"), week)
    simulate_shop(spark, SMALL, str(tmp_path / "day"), [LAST])
    alone = lines(tmp_path / "day", "events", LAST)
    assert alone == lines(tmp_path / "week", "events", LAST)
    assert lines(tmp_path / "day", "items", LAST) == lines(tmp_path / "week", "items", LAST)
    assert 80 < len(alone) < 350, "about 5,000 / 30"
    simulate_shop(spark, SMALL.model_copy(update={"seed": 7}), str(tmp_path / "day"), [LAST])
    assert lines(tmp_path / "day", "events", LAST) != alone


def test_existing_days_are_not_written_again(spark: SparkSession, tmp_path: Path) -> None:
    simulate_shop(spark, SMALL, str(tmp_path), [LAST - timedelta(days=1)])
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "events").rglob("part-*")}
    simulate_shop(spark, SMALL, str(tmp_path), [LAST - timedelta(days=1), LAST])
    assert before == {file: file.stat().st_mtime_ns for file in before}
    assert lines(tmp_path, "events", LAST)
