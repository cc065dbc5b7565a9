"""The error of a damaged file of the lake names the file and the remedy; nothing is overwritten."""

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.errors import DamagedFileError, rebuild_remedy
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.lake_sql import query
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema

MONDAY, TUESDAY = date(2026, 11, 16), date(2026, 11, 17)


def users(ds: date) -> pa.Table:
    rows = [{"user_key": f"user {number} of {ds}", "ds": ds} for number in range(2_000)]
    return pa.Table.from_pylist(rows, schema=arrow_schema(TABLES["users"]))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake.open(Settings(home=tmp_path), "shop")
    for ds in (MONDAY, TUESDAY):
        lake.commit("users", [ds], lake.write_arrow("users", users(ds)))
    return lake


def data_file(lake: Lake) -> str:
    return next(file for file in lake.files("users") if str(TUESDAY) in file)


def manifest_list(lake: Lake) -> str:
    return str(lake.table("users").current_snapshot().manifest_list)


def manifest(lake: Lake) -> str:
    table = lake.table("users")
    return str(table.current_snapshot().manifests(table.io)[0].manifest_path)


def metadata(lake: Lake) -> str:
    return str(lake.table("users").metadata_location)


def cut(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def overwrite_rows(file: Path) -> None:
    """Damage the rows alone and keep the footer."""
    content = bytearray(file.read_bytes())
    content[4:2_000] = bytes(len(content[4:2_000]))
    file.write_bytes(bytes(content))


def overwrite(file: Path) -> None:
    file.write_bytes(b"\0" * 100)


RUN_AGAIN = re.escape(rebuild_remedy("shop", "users", TUESDAY))


@pytest.mark.parametrize("damage", [cut, Path.unlink, overwrite_rows, overwrite])
def test_a_damaged_data_file_is_named_with_its_day(lake: Lake, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    file = Path(data_file(lake))
    damage(file)
    left = file.read_bytes() if file.exists() else None
    for read in (
        lambda: lake.read("users"),
        lambda: query(Settings(home=tmp_path), "shop", "SELECT count(DISTINCT user_key) FROM users"),
    ):
        with pytest.raises(DamagedFileError, match=f"{file.name} cannot be read .*{RUN_AGAIN}"):
            read()
    assert (file.read_bytes() if file.exists() else None) == left
    file.unlink(missing_ok=True)
    lake.commit("users", [TUESDAY], lake.write_arrow("users", users(TUESDAY)))
    assert lake.read("users").num_rows == 4_000, "a second run of the day repairs the table"


@pytest.mark.parametrize("damage", [cut, Path.unlink, overwrite])
@pytest.mark.parametrize("named", [manifest_list, manifest])
def test_a_damaged_manifest_is_named(lake: Lake, named: Callable[[Lake], str], damage: Callable[[Path], None]) -> None:
    file = Path(named(lake).removeprefix("file://"))
    damage(file)
    with pytest.raises(DamagedFileError, match=f"{file.name} cannot be read .*Restore it from a backup of the lake"):
        lake.read("users")


@pytest.mark.parametrize("damage", [cut, Path.unlink, overwrite])
@pytest.mark.parametrize("consistent_view", [False, True])
def test_a_damaged_metadata_file_is_named(lake: Lake, damage: Callable[[Path], None], consistent_view: bool) -> None:
    file = Path(metadata(lake).removeprefix("file://"))
    damage(file)
    with pytest.raises(DamagedFileError, match=r"metadata file of shop\.users cannot be read"):
        (lake.consistent_view() if consistent_view else lake).read("users")


def test_an_unknown_snapshot_is_not_reported_as_damage(lake: Lake) -> None:
    with pytest.raises(ValueError, match="Snapshot not found") as raised:
        lake.read("users", snapshot_id=7)
    assert not isinstance(raised.value, DamagedFileError)
