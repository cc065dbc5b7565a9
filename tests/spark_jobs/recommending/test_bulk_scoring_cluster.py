import re
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.config.settings import REPOSITORY, settings
from pipeline_tasks.lake.staging import Manifest, read_manifest
from pipeline_tasks.tables.contracts import TABLES
from spark_jobs.recommend_items import build
from tests.spark_jobs.large_run import LargeRun
from tests.spark_jobs.spark_cluster import running_cluster, submit

SIZE = LargeRun(users=2_000, items=200, width=16, queries=4)
MATRIX = "/vectors.npy"
WITHIN = 600
"""Seconds until the job must have ended, on the busiest machine."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("NIGHTSHELF_HOME", str(tmp_path / "home"))
    # Small batches: many of them are under way when the worker goes.
    monkeypatch.setenv("NIGHTSHELF_SCORING__BLOCK_USERS", "128")
    settings.cache_clear()
    SIZE.prepare(settings())
    yield tmp_path
    settings.cache_clear()


def test_a_worker_that_dies_changes_no_table(home: Path, spark: SparkSession) -> None:
    with running_cluster(home) as cluster:
        job = REPOSITORY / "spark_jobs" / "recommend_items.py"
        arguments = ("--source", SIZE.run_key.source, "--date", SIZE.run_key.ds.isoformat())
        driver = submit(cluster, home / "job.log", str(job), *arguments)
        try:
            victim, mapped = wait_for_scoring(driver, [worker.pid for worker in cluster.workers])
            cluster.workers[victim].kill()
            ended = driver.wait(WITHIN)
        finally:
            driver.kill()
    log = (home / "job.log").read_text()
    assert ended == 0, log[-3000:]
    assert re.search(r"Lost executor|Lost task", log), "the worker was not missed"
    assert mapped == 1, "the items are mapped once in each process that scores"
    manifest = read_manifest(settings(), SIZE.run_key, "recommend")
    local = build(spark, SIZE.run_key, settings().scoring)
    assert list(manifest.tables) == list(local.tables)
    for table in manifest.tables:
        assert rows_of(manifest, table) == rows_of(local, table), table


def wait_for_scoring(driver: Popen[bytes], workers: list[int]) -> tuple[int, int]:
    """Return the first worker with a process that maps the items, and its number of maps."""
    until = time.monotonic() + WITHIN
    while time.monotonic() < until and driver.poll() is None:
        for number, worker in enumerate(workers):
            for child in psutil.Process(worker).children(recursive=True):
                if maps := count_maps(child):
                    return number, maps
        time.sleep(0.05)
    raise TimeoutError(f"no worker began to score within {WITHIN} s; the driver ended with {driver.poll()}")


def count_maps(process: psutil.Process) -> int:
    try:
        return Path(f"/proc/{process.pid}/maps").read_text().count(MATRIX)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0


def rows_of(manifest: Manifest, name: str) -> list[dict[str, Any]]:
    """Return the staged rows in the order of their keys."""
    tables = [pq.read_table(file, partitioning=None) for file in manifest.tables[name].files]
    rows: list[dict[str, Any]] = [row for table in tables for row in table.to_pylist()]
    return sorted(rows, key=lambda row: [str(row[column]) for column in TABLES[name].key])
