"""The settings of every job's Spark session, and its log of progress."""

import re
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import psutil
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipeline_tasks import progress_log
from spark_jobs.common.spark_session import running_stages, start_progress_log


def test_few_cached_rows_are_few_tasks(spark: SparkSession) -> None:
    before = spark.conf.get("spark.sql.shuffle.partitions")
    # A cluster's default.
    spark.conf.set("spark.sql.shuffle.partitions", "200")
    kept = spark.range(1_000).groupBy((F.col("id") % 100).alias("group")).count().persist()
    try:
        assert kept.count() == 100
        assert kept.rdd.getNumPartitions() <= 2 * spark.sparkContext.defaultParallelism
    finally:
        kept.unpersist()
        spark.conf.set("spark.sql.shuffle.partitions", str(before))


def test_only_the_owner_can_read_written_files(spark: SparkSession, tmp_path: Path) -> None:
    rows = spark.range(4).withColumn("ds", F.lit("2026-11-20"))
    rows.write.partitionBy("ds").parquet(str(tmp_path / "table"))
    written = list((tmp_path / "table").rglob("*"))
    assert {path.suffix for path in written} >= {".parquet"}
    assert [path for path in [tmp_path / "table", *written] if path.stat().st_mode & 0o077] == []


def test_local_spark_listens_only_on_the_loopback_address(spark: SparkSession) -> None:
    java = [process for process in psutil.Process().children(recursive=True) if process.name() == "java"]
    listening = [one.laddr.ip for process in java for one in process.net_connections("inet") if one.status == "LISTEN"]
    assert listening
    assert [ip for ip in listening if not ip_address(ip.removeprefix("::ffff:")).is_loopback] == []


def test_running_stages_are_printed_with_their_tasks(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert running_stages(spark.sparkContext.statusTracker()) == ""
    monkeypatch.setattr(progress_log, "LINE_INTERVAL", 0.2)
    start_progress_log(spark)
    slow = spark.range(0, 6, 1, 6).mapInArrow(_slowly, "id long")
    work = threading.Thread(target=slow.count)
    work.start()
    work.join()
    monkeypatch.undo()
    printed = re.findall(r"Spark: stage \d+, (\d) of 6 tasks", capsys.readouterr().out)
    assert printed, "no progress was printed during two seconds of work"
    assert sorted(printed) == printed


def _slowly(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    time.sleep(0.6)
    yield from batches
