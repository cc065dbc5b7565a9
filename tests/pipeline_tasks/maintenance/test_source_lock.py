"""Jobs and maintenance of a source exclude each other, and a dead process blocks no other."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake import source_lock
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.source_lock import SourceBusyError, job_lock, landing_lock, maintenance_lock
from pipeline_tasks.lake.staging import Manifest, StagedTable, write_manifest
from pipeline_tasks.maintenance.apply_retention import apply_retention
from pipeline_tasks.maintenance.erase_users import erase_users
from pipeline_tasks.maintenance.roll_back_night import choose_rollback_target, return_tables
from pipeline_tasks.sources.erased import record_erased_users
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema
from tests.pipeline_tasks.lake.postgres_server import postgres_or_skip
from tests.pipeline_tasks.maintenance.published_shop import FIRST, SECOND, SOURCE, THIRD, publish_day

Lock = Callable[[], AbstractContextManager[None]]
TWO_DAYS = 2 * 24 * 3600
BUSY = r"clean_behavior 2026-11-21 is running since \d{4}-\d\d-\d\dT.* \(process \d+ on .*\)\. Wait until it has ended"


def stage(settings: Settings, age: float = 0) -> Path:
    """Write a file that no manifest names yet, as a job does before its end."""
    rows = pa.Table.from_pylist([{"user_key": "ann", "ds": THIRD}], schema=arrow_schema(TABLES["purchase_intent"]))
    [file] = Lake.open(settings, SOURCE).write_arrow("purchase_intent", rows)
    os.utime(file, (time.time() - age,) * 2)
    return Path(file)


def hold(lock: Lock, settings: Settings, ready: Connection) -> None:
    with lock():
        ready.send([stage(settings), stage(settings, TWO_DAYS)])
        time.sleep(600)


@contextmanager
def another_process(lock: Lock, settings: Settings) -> Iterator[tuple[multiprocessing.process.BaseProcess, list[Path]]]:
    """Yield a process that holds the lock and has staged two files, one of them two days old."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=hold, args=(lock, settings, sender), daemon=True)
    process.start()
    try:
        yield process, receiver.recv()
    finally:
        process.kill()
        process.join()


def test_maintenance_changes_no_staged_file_of_a_running_job(settings: Settings) -> None:
    for ds, version in ((FIRST, "1"), (SECOND, "2")):
        publish_day(settings, ds, version)
    target = choose_rollback_target(settings, SOURCE, "tables", FIRST)
    record_erased_users(settings, SOURCE, ["ann"])
    job = lambda: job_lock(settings, SOURCE, "clean_behavior 2026-11-21")  # noqa: E731
    with another_process(job, settings) as (process, files):
        for maintain in (
            lambda: apply_retention(settings, SOURCE, 90, delete=True),
            lambda: erase_users(settings, SOURCE),
            lambda: return_tables(settings, target),
        ):
            with pytest.raises(SourceBusyError, match=BUSY):
                maintain()
        assert all(file.exists() for file in files)
        apply_retention(settings, SOURCE, 90, delete=False)
        with job_lock(settings, SOURCE, "split_behavior 2026-11-21"), job_lock(settings, "another", "clean"):
            pass
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    orphaned_before, old = files
    return_tables(settings, target)
    erase_users(settings, SOURCE)
    assert orphaned_before.exists(), "a file that was never named stays for a day"
    assert not old.exists()


def test_files_of_a_deleted_manifest_are_deleted_at_once(settings: Settings) -> None:
    publish_day(settings, FIRST, "1")
    published = [Path(file) for file in Lake.open(settings, SOURCE).files("recommendations")]
    file = stage(settings)
    tables = {"purchase_intent": StagedTable(days=[THIRD], files=[str(file)], rows=1)}
    tables["recommendations"] = StagedTable(days=[FIRST], files=[str(published[0])], rows=1)
    write_manifest(settings, Manifest(source=SOURCE, ds=THIRD, step="recommend", tables=tables))
    record_erased_users(settings, SOURCE, ["somebody"])
    erase_users(settings, SOURCE)
    assert not file.exists(), "its rows may be those of an erased user"
    assert all(one.exists() for one in published)


def test_a_job_waits_for_maintenance_and_gives_up_with_its_name(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(source_lock, "_PAUSE", 0.05)
    with another_process(lambda: maintenance_lock(settings, SOURCE, "erase_users"), settings) as (process, _):
        monkeypatch.setattr(source_lock, "_PATIENCE", 0.2)
        with (
            pytest.raises(SourceBusyError, match=r"publish of shop cannot start: erase_users is running"),
            job_lock(settings, SOURCE, "publish"),
        ):
            pytest.fail("the job began")
        monkeypatch.setattr(source_lock, "_PATIENCE", 60.0)
        multiprocessing.get_context("fork").Process(target=_end_soon, args=(process.pid,), daemon=True).start()
        with job_lock(settings, SOURCE, "publish"):
            pass
    assert "publish waits, for 60 s at most: erase_users is running since" in capsys.readouterr().out


def _end_soon(pid: int) -> None:
    time.sleep(0.5)
    os.kill(pid, signal.SIGKILL)


def test_two_landings_of_a_source_follow_one_another(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_lock, "_PATIENCE", 0.0)
    with another_process(lambda: landing_lock(settings, SOURCE), settings):
        with pytest.raises(SourceBusyError, match="land_behavior is running since"), landing_lock(settings, SOURCE):
            pytest.fail("two landings at once")
        with job_lock(settings, SOURCE, "clean_behavior"):
            pass


def test_machines_that_share_a_postgres_catalog_share_its_locks(tmp_path: Path) -> None:
    server = postgres_or_skip(tmp_path / "postgres")
    lake = {"lake_catalog_uri": server.catalog_uri, "lake_warehouse": f"file://{tmp_path}/lake"}
    here, there = (Settings.model_validate({"home": tmp_path / name, **lake}) for name in ("here", "there"))
    try:
        with another_process(lambda: job_lock(there, SOURCE, "train"), there) as (process, _):
            with (
                pytest.raises(SourceBusyError, match=r"train \(process \d+ on .*\) is running since 2"),
                maintenance_lock(here, SOURCE, "erase_users"),
            ):
                pytest.fail("maintenance began")
            with job_lock(here, SOURCE, "clean"):
                pass
            process.kill()
            process.join()
            until = time.monotonic() + 30
            while time.monotonic() < until:
                try:
                    with maintenance_lock(here, SOURCE, "erase_users"):
                        return
                except SourceBusyError:
                    time.sleep(0.1)
            pytest.fail("the server still holds the lock of a process that is dead")
    finally:
        server.kill()
