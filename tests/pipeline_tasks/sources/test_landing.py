"""Only files that the ledger lists are read, wherever a landing was killed."""

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.sources.landing import Landing
from tests.pipeline_tasks.kill_after import kill_after

MONDAY, TUESDAY = date(2026, 11, 16), date(2026, 11, 17)
FIRST = {(MONDAY, MONDAY): [1, 2], (MONDAY, TUESDAY): [3], (TUESDAY, TUESDAY): [4, 5]}
CORRECTED = {(MONDAY, TUESDAY): [3, 33], (TUESDAY, TUESDAY): [4]}
AGAIN = {(MONDAY, TUESDAY): [30], (TUESDAY, TUESDAY): [40, 50, 60]}
OPERATIONS = ("mkdir", "rename", "replace", "fsync", "unlink", "rmdir")
"""File operations of a landing, which may be killed after any of them."""
Parts = dict[tuple[date, date], list[int]]


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    landing = Landing(Settings(home=tmp_path), "shop", "events")
    land(landing, FIRST, {MONDAY: "monday", TUESDAY: "tuesday"})
    return landing


def write(landing: Landing, parts: Parts) -> Path:
    """Write a delivery as Spark does: a file of each part, by event day and day of arrival."""
    incoming = landing.incoming()
    for (ds, arrived), ids in parts.items():
        folder = incoming / f"ds={ds}" / f"arrived={arrived}"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"_record_id": ids}), folder / "part-0.parquet")
    return incoming


def land(landing: Landing, parts: Parts, marks: dict[date, str]) -> None:
    landing.take_in(write(landing, parts), marks)


def rows(landing: Landing, ds: date) -> list[int]:
    """Return the rows that are read for an event day, and check their number against the ledger."""
    found = [
        number
        for file in landing.files([ds])
        for number in pq.read_table(file, partitioning=None)["_record_id"].to_pylist()
    ]
    assert landing.ledger().rows(ds) == len(found)
    return sorted(found)


def killed_after(operations: int, work: Callable[[], None]) -> bool:
    """Do the work in a process that is killed after so many operations; return whether it was killed."""
    process = multiprocessing.get_context("fork").Process(target=_dying, args=(operations, work))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def _dying(operations: int, work: Callable[[], None]) -> None:
    left = [operations]
    for name in OPERATIONS:
        setattr(os, name, kill_after(getattr(os, name), left))
    work()


def landed_files(landing: Landing) -> set[str]:
    return {str(path) for path in landing.folder.rglob("*") if path.is_file() and path.name != "deliveries.json"}


@pytest.mark.slow
@pytest.mark.parametrize("replaces", [False, True], ids=("take_in", "replace_parts"))
def test_after_a_kill_the_rows_are_those_before_or_those_after_it(landing: Landing, replaces: bool) -> None:
    def correct() -> None:
        incoming = landing.folder / "incoming"
        if replaces:
            landing.replace_parts(incoming, list(CORRECTED))
        else:
            landing.take_in(incoming, {TUESDAY: "corrected"})

    kept = landing.folder.with_name("kept")
    shutil.copytree(landing.folder, kept)
    states, operations = set(), 0
    while True:
        operations += 1
        write(landing, CORRECTED)
        died = killed_after(operations, correct)
        states.add((tuple(rows(landing, MONDAY)), tuple(rows(landing, TUESDAY))))
        # Then the shop delivers once more.
        land(landing, AGAIN, {TUESDAY: "again"})
        assert (rows(landing, MONDAY), rows(landing, TUESDAY)) == ([1, 2, 30], [40, 50, 60])
        assert landed_files(landing) == {*landing.files([MONDAY, TUESDAY])}, "what was left over is gone"
        shutil.rmtree(landing.folder)
        shutil.copytree(kept, landing.folder)
        if not died:
            break
    assert states == {((1, 2, 3), (4, 5)), ((1, 2, 3, 33), (4,))}
    assert operations > 15


def test_a_part_that_the_correction_lacks_is_gone(landing: Landing) -> None:
    land(landing, {(TUESDAY, TUESDAY): [4]}, {TUESDAY: "corrected"})
    assert (rows(landing, MONDAY), rows(landing, TUESDAY)) == ([1, 2], [4])
    landing.replace_parts(write(landing, {}), [(TUESDAY, TUESDAY)])
    assert rows(landing, TUESDAY) == []
    assert landing.ledger().deliveries[TUESDAY].fingerprint == "corrected", "the shop's file is not landed again"
    assert not (landing.folder / f"ds={TUESDAY}").exists()


def test_a_landing_of_a_version_without_folders_is_read_and_replaced(landing: Landing) -> None:
    ledger = landing.ledger()
    for delivery in ledger.deliveries.values():
        for day in delivery.days.values():
            day.folder = ""
    for file in map(Path, landing.files([MONDAY, TUESDAY])):
        file.rename(file.parent.with_name(file.name))
        file.parent.rmdir()
    (landing.folder / "deliveries.json").write_text(ledger.model_dump_json(exclude_defaults=True))
    assert (rows(landing, MONDAY), rows(landing, TUESDAY)) == ([1, 2, 3], [4, 5])
    land(landing, CORRECTED, {TUESDAY: "corrected"})
    assert (rows(landing, MONDAY), rows(landing, TUESDAY)) == ([1, 2, 3, 33], [4])
    assert landed_files(landing) == {*landing.files([MONDAY, TUESDAY])}


def test_a_part_that_was_deleted_is_named_and_landed_again(landing: Landing) -> None:
    part = Path(landing.files([TUESDAY])[0]).parent
    shutil.rmtree(part)
    with pytest.raises(FileNotFoundError, match=rf"{part} has no files.* Run land_behavior again"):
        landing.files([TUESDAY])
    marks = {day: delivery.fingerprint for day, delivery in landing.ledger().deliveries.items()}
    assert marks == {MONDAY: "monday", TUESDAY: ""}, "no fingerprint of a file fits: Tuesday is landed again"


def test_a_reader_that_began_before_a_landing_gets_a_clear_error(landing: Landing) -> None:
    before = landing.ledger()
    land(landing, CORRECTED, {TUESDAY: "corrected"})
    with pytest.raises(FileNotFoundError, match="another landing replaced it"):
        landing.files([MONDAY, TUESDAY], before)
