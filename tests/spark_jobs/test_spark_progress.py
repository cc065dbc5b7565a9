"""Long jobs say how far they are."""

import re
import threading
import time
from collections.abc import Iterator

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from pipeline_tasks import progress_log
from spark_jobs.common.spark_progress import running_stages, say_progress


def test_running_stages_are_told_by_their_tasks(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert running_stages(spark.sparkContext.statusTracker()) == ""
    monkeypatch.setattr(progress_log, "SILENCE", 0.2)
    say_progress(spark)
    slow = spark.range(0, 6, 1, 6).mapInArrow(_slowly, "id long")
    work = threading.Thread(target=slow.count)
    work.start()
    work.join()
    monkeypatch.undo()
    told = re.findall(r"Spark: stage \d+, (\d) of 6 tasks", capsys.readouterr().out)
    assert told, "nothing was said of two seconds of work"
    assert sorted(told) == told


def _slowly(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    time.sleep(0.6)
    yield from batches
