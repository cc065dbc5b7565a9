"""On a full disk a step fails with one clear error and changes nothing; with room it can be run again."""

import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from mlflow.exceptions import MlflowException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipeline_tasks import errors
from pipeline_tasks.config.settings import Settings
from pipeline_tasks.errors import OutOfSpaceError, job_errors
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.postgres_sink import SinkError, copy_recommendations
from pipeline_tasks.lake.staging import Manifest, write_manifest
from pipeline_tasks.registry.embed_items import write_visitors
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.training.training_checkpoint import write_tensors
from tests.pipeline_tasks.lake.killed_publisher import publish_run, runs_of, runs_queried

KIBIBYTE = 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path, free: int) -> Path:
    """Fill the disk except for about `free` bytes."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4 * KIBIBYTE))
        except OSError:
            file.truncate(file.tell() - free)
    return ballast


def test_a_full_disk_within_a_commit_changes_no_table_and_the_next_run_succeeds(small_disk: Path) -> None:
    settings = Settings(home=small_disk)
    publish_run(settings, 0)
    messages, last = list[str](), 0
    for run, free in enumerate((0, 8, 16, 32, 64, 96, 128, 192, 256), start=1):
        ballast = fill(small_disk, free * KIBIBYTE)
        try:
            publish_run(settings, run)
            last = run
        except OutOfSpaceError as error:
            messages.append(str(error))
        ballast.unlink()
        assert runs_of(Lake.open(settings, "shop")) == {str(last)}, f"with {free} KiB free"
    assert len(messages) >= 5
    for message in messages:
        assert "No space is left on the disk of" in message
        assert "the tables of shop are unchanged. Free some" in message
    publish_run(settings, 99)
    assert runs_queried(settings) == {"99"}


def test_a_full_disk_keeps_the_state_of_a_run_and_names_the_file(small_disk: Path) -> None:
    settings, ds = Settings(home=small_disk), date(2026, 11, 20)
    path = write_manifest(settings, Manifest(source="shop", ds=ds, step="clean"))
    before = path.read_text()
    fill(small_disk, 0)
    with pytest.raises(OutOfSpaceError, match=rf"disk of {path}: it is unchanged"):
        write_manifest(settings, Manifest(source="shop", ds=ds, step="clean", facts={"a": "b" * 5_000}))
    assert path.read_text() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


NOISE = np.random.default_rng(1).random((300, 1_000)).astype(np.float32)
"""More than a mebibyte, even when compressed."""


def _rows_in_sqlite(folder: Path) -> None:
    with sqlite3.connect(folder / "a.db") as connection:
        connection.execute("CREATE TABLE t (x BLOB)")
        connection.execute("INSERT INTO t VALUES (?)", [NOISE.tobytes()])


def _copy_of_duckdb(folder: Path) -> None:
    duckdb.sql(f"COPY (SELECT uuid() AS x FROM range(100_000)) TO '{folder / 'a.csv'}'")


def _visitors(folder: Path) -> None:
    recommender: Any = SimpleNamespace(
        item_matrix=lambda: NOISE, moment=1, user_matrix=lambda visits: NOISE[: len(visits.items)]
    )
    write_visitors(folder / "visitors.npy", recommender, 0)


def _error_of_mlflow(folder: Path) -> None:
    raise MlflowException("INTERNAL_ERROR: (sqlite3.OperationalError) database or disk is full")


def _error_without_a_cause(folder: Path) -> None:
    raise MlflowException("API request failed: too many 500 error responses")


WRITERS: tuple[Callable[[Path], object], ...] = (
    lambda folder: (folder / "a.txt").write_bytes(NOISE.tobytes()),
    lambda folder: np.save(folder / "a.npy", NOISE),
    lambda folder: pq.write_table(pa.table({"x": NOISE.ravel()}), folder / "a.parquet"),
    lambda folder: write_tensors(folder / "a.safetensors", {"x": torch.from_numpy(NOISE)}, {}),
    _rows_in_sqlite,
    _copy_of_duckdb,
    _visitors,
    _error_of_mlflow,
    _error_without_a_cause,
)


@pytest.mark.parametrize("write", WRITERS)
def test_a_job_ends_in_one_line_whichever_writer_finds_the_disk_full(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], object]
) -> None:
    monkeypatch.setattr(errors, "settings", lambda: Settings(home=small_disk))
    fill(small_disk, 512 * KIBIBYTE)
    with pytest.raises(SystemExit) as ended, job_errors():
        write(small_disk)
    assert str(ended.value.code).startswith(f"OutOfSpaceError: No space is left on the disk of {small_disk}. ")
    assert str(ended.value.code).endswith(
        "Free some (the DAG apply_retention with Delete removes old data), then run this step again"
    )


@pytest.mark.spark
def test_a_full_disk_of_spark_is_one_line(small_disk: Path, spark: SparkSession) -> None:
    fill(small_disk, 256 * KIBIBYTE)
    with pytest.raises(SystemExit) as ended, job_errors():
        spark.range(200_000).select(F.uuid().alias("x")).write.parquet(str(small_disk / "rows"))
    assert str(ended.value.code).startswith("OutOfSpaceError: No space is left on a disk (")
    assert "\n" not in str(ended.value.code)


def test_another_failure_is_not_taken_for_a_full_disk(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "settings", lambda: Settings(home=small_disk))
    with pytest.raises(MlflowException), job_errors():
        _error_without_a_cause(small_disk)
    fill(small_disk, 0)
    with pytest.raises(SystemExit, match=r"^ValueError: no such ds$"), job_errors():
        raise ValueError("no such ds")


def test_the_remedy_of_a_full_postgres_server_names_its_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def connect(*_: object, **__: object) -> None:
        raise psycopg.errors.DiskFull('could not extend file "base/1": No space left on device')

    monkeypatch.setattr(psycopg, "connect", connect)
    monkeypatch.setattr("pipeline_tasks.lake.postgres_sink._is_due", lambda *_: False)
    settings = Settings(home=tmp_path, postgres_sink="postgresql://user:secret@host/shelves")
    with pytest.raises(SinkError, match=r"Free some space on the disk of the Postgres server, then run sink_shelves"):
        copy_recommendations(settings, RunKey("shop", date(2026, 11, 20)))
