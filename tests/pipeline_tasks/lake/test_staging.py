from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.staging import Manifest, StagedTable, publish, read_manifest, write_manifest
from pipeline_tasks.quality.gate_report import read_report
from pipeline_tasks.registry.candidate_files import candidate_path, evaluation_path
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema

DAY = date(2026, 11, 20)


def quarantine(rules: list[str]) -> pa.Table:
    rows = [{"raw": "{}", "rule": rule, "detail": None, "source_file": "a.csv", "ds": DAY} for rule in rules]
    return pa.Table.from_pylist(rows, schema=arrow_schema(TABLES["quarantine"]))


def test_no_reader_sees_staged_files_before_they_are_published(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    lake = Lake.open(settings, "shop")
    files = lake.write_arrow("quarantine", quarantine(["no_item", "bot"]))
    staged = StagedTable(days=[DAY], files=files, rows=2)
    write_manifest(
        settings, Manifest(source="shop", ds=DAY, step="clean", tables={"quarantine": staged}, facts={"rules": "bot"})
    )
    assert lake.read("quarantine").num_rows == 0

    snapshots = publish(lake, read_manifest(settings, RunKey("shop", DAY), "clean"))

    assert snapshots == {"quarantine": lake.snapshot_id("quarantine")}
    assert lake.read("quarantine")["rule"].to_pylist() == ["no_item", "bot"]
    assert lake.facts("quarantine")["rules"] == "bot"


def test_publishing_an_empty_day_empties_it(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    lake = Lake.open(settings, "shop")
    lake.commit("quarantine", [DAY], lake.write_arrow("quarantine", quarantine(["bot"])))
    empty = StagedTable(days=[DAY], files=[], rows=0)
    publish(lake, Manifest(source="shop", ds=DAY, step="clean", tables={"quarantine": empty}))
    assert lake.read("quarantine").num_rows == 0


def test_recommendations_are_committed_last(tmp_path: Path) -> None:
    lake = Lake.open(Settings(home=tmp_path), "shop")
    tables = {}
    for name in ("user_profiles", "recommendations", "fallback_recommendations"):
        files = lake.write_arrow(name, pa.Table.from_pylist([{"ds": DAY}], schema=arrow_schema(TABLES[name])))
        tables[name] = StagedTable(days=[DAY], files=files, rows=1)
    committed = publish(lake, Manifest(source="shop", ds=DAY, step="recommend", tables=tables))
    assert list(committed) == ["user_profiles", "fallback_recommendations", "recommendations"]


def test_a_missing_step_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Step split has built nothing for shop 2026-11-20"):
        read_manifest(Settings(home=tmp_path), RunKey("shop", DAY), "split")


def test_reading_a_mistyped_date_makes_no_folder(tmp_path: Path) -> None:
    settings, mistyped = Settings(home=tmp_path), RunKey("shop", date(2062, 11, 20))
    for read in (
        lambda: read_manifest(settings, mistyped, "clean"),
        lambda: read_report(settings, mistyped, "clean"),
        lambda: candidate_path(settings, mistyped, "frozen").read_text(),
        lambda: evaluation_path(settings, mistyped).read_text(),
    ):
        with pytest.raises(FileNotFoundError):
            read()
    assert not settings.staging.exists()


def test_dates_survive_the_manifest(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    manifest = Manifest(source="shop", ds=datetime(2026, 11, 20, tzinfo=UTC).date(), step="split")
    write_manifest(settings, manifest)
    assert read_manifest(settings, RunKey("shop", DAY), "split") == manifest
