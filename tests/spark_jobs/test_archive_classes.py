import subprocess
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.config.settings import Settings, settings
from pipeline_tasks.local_runtime.java import class_archive, spark_java_options
from spark_jobs.archive_classes import archive_classes, typical_work

pytestmark = pytest.mark.spark


def test_the_archive_is_made_from_the_operations_of_the_jobs(spark: SparkSession, tmp_path: Path) -> None:
    rows = typical_work(spark, tmp_path).collect()
    assert len(rows) == 100 - 2 * 7
    assert {row["n"] for row in rows} == {14, 15}


def test_a_failed_spark_is_reported(tmp_path: Path) -> None:
    refused = Settings(spark_driver_java_options="-Xmx512m")
    with pytest.raises(RuntimeError, match=r"Spark did not run .*-Xmx512m"):
        archive_classes(refused, tmp_path / "classes.jsa")


def test_spark_starts_from_the_archive_that_set_up_made(tmp_path: Path) -> None:
    if not class_archive().exists():
        pytest.skip("this Java has no archive of its own classes to build on: set-up could not make one")
    options = f"{spark_java_options(settings())} -Xlog:class+load:file={tmp_path}/loaded"
    command = ["spark-submit", "--conf", f"spark.driver.extraJavaOptions={options}", "--version"]
    subprocess.run(command, check=True, capture_output=True)
    loaded = (tmp_path / "loaded").read_text().splitlines()
    of_spark = [line for line in loaded if " org.apache.spark." in line]
    assert of_spark
    assert all("shared objects file (top)" in line for line in of_spark if "Lambda" not in line)
