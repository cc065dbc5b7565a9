"""What every job's session is set to."""

from ipaddress import ip_address
from pathlib import Path

import psutil
from pyspark.sql import SparkSession
from pyspark.sql import functions as F


def test_few_rows_kept_for_a_second_look_are_few_tasks(spark: SparkSession) -> None:
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


def test_nobody_else_reads_what_spark_writes(spark: SparkSession, tmp_path: Path) -> None:
    rows = spark.range(4).withColumn("ds", F.lit("2026-11-20"))
    rows.write.partitionBy("ds").parquet(str(tmp_path / "table"))
    written = list((tmp_path / "table").rglob("*"))
    assert {path.suffix for path in written} >= {".parquet"}
    assert [path for path in [tmp_path / "table", *written] if path.stat().st_mode & 0o077] == []


def test_local_spark_listens_on_this_machine_alone(spark: SparkSession) -> None:
    java = [process for process in psutil.Process().children(recursive=True) if process.name() == "java"]
    listening = [one.laddr.ip for process in java for one in process.net_connections("inet") if one.status == "LISTEN"]
    assert listening
    assert [ip for ip in listening if not ip_address(ip.removeprefix("::ffff:")).is_loopback] == []
