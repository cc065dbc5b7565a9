"""Failures of Spark with and without a damaged file; more damaged files are in test_land_behavior.py."""

from pathlib import Path

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.errors import is_out_of_space
from pipeline_tasks.sources.sources import SourceError
from spark_jobs.landing.event_files import read_failures


def fail(spark: SparkSession, message: str) -> None:
    with read_failures(["/data/events.csv"]):
        spark.range(1).select(F.raise_error(F.lit(message))).collect()


def test_a_full_disk_is_not_reported_as_a_damaged_file(spark: SparkSession) -> None:
    with pytest.raises(PySparkException) as raised:
        fail(spark, "FAILED_READ_FILE: java.io.IOException: No space left on device")
    assert is_out_of_space(raised.value)


def test_a_failure_without_a_damaged_file_is_raised_unchanged(spark: SparkSession) -> None:
    with pytest.raises(PySparkException, match="ExecutorLostFailure: executor 3 exited"):
        fail(spark, "ExecutorLostFailure: executor 3 exited, unrelated to the running tasks")


def test_a_file_that_is_no_parquet_is_named(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "part.parquet"
    file.write_bytes(b"no parquet at all, but long enough to be one")
    with (
        pytest.raises(SourceError, match=r"part\.parquet cannot be read to its end .*deliver it again"),
        read_failures([str(file)]),
    ):
        spark.read.schema("a INT").parquet(str(file)).collect()
