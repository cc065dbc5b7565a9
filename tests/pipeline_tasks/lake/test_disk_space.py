"""On a full disk a step fails with one clear error and changes nothing; with room it can be run again."""

import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.disk_space import OutOfSpaceError
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.staging import Manifest, write_manifest
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
    """Fill the disk but for about so many bytes."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4 * KIBIBYTE))
        except OSError:
            file.truncate(file.tell() - free)
    return ballast


def test_a_full_disk_within_a_commit_changes_no_table_and_the_next_run_heals(small_disk: Path) -> None:
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
        assert "the tables of shop are as they were. Free some" in message
    publish_run(settings, 99)
    assert runs_queried(settings) == {"99"}


def test_a_full_disk_leaves_the_state_of_a_night_and_names_the_file(small_disk: Path) -> None:
    settings, night = Settings(home=small_disk), date(2026, 11, 20)
    path = write_manifest(settings, Manifest(source="shop", ds=night, step="clean"))
    before = path.read_text()
    fill(small_disk, 0)
    with pytest.raises(OutOfSpaceError, match=rf"disk of {path}: it is as it was"):
        write_manifest(settings, Manifest(source="shop", ds=night, step="clean", facts={"a": "b" * 5_000}))
    assert path.read_text() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]
