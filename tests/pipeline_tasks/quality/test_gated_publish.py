from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.staging import Manifest, StagedTable, write_manifest
from pipeline_tasks.quality.gate_report import Finding, GateError, GateReport, TableReport, publish_step, write_report
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema

RUN_KEY = RunKey("shop", date(2026, 11, 20))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def stage(settings: Settings, rule: str) -> Manifest:
    """Stage one refused record; the manifest replaces an earlier one."""
    lake = Lake.open(settings, RUN_KEY.source)
    row = {"raw": "{}", "rule": rule, "source_file": "a.csv", "ds": RUN_KEY.ds}
    files = lake.write_arrow("quarantine", pa.Table.from_pylist([row], schema=arrow_schema(TABLES["quarantine"])))
    tables = {"quarantine": StagedTable(days=[RUN_KEY.ds], files=files, rows=1)}
    manifest = Manifest(source=RUN_KEY.source, ds=RUN_KEY.ds, step="clean", tables=tables, seconds={"all": 0.1 + 0.2})
    write_manifest(settings, manifest)
    return manifest


def write_gate_report(settings: Settings, manifest: Manifest, *findings: Finding) -> None:
    """Write the report of a gate of the manifest."""
    table = TableReport(rows=1, expectations=1, failed=len(findings), warnings=0, docs="file:///docs.html")
    report = GateReport(
        source=RUN_KEY.source,
        ds=RUN_KEY.ds,
        step="clean",
        manifest=manifest.digest,
        seconds=1,
        passed=not findings,
        tables={"quarantine": table},
        findings=list(findings),
    )
    write_report(settings, report)


def published(settings: Settings) -> list[str]:
    rules: list[str] = Lake.open(settings, RUN_KEY.source).read("quarantine")["rule"].to_pylist()
    return rules


def test_a_manifest_that_passed_the_gate_is_committed(settings: Settings) -> None:
    write_gate_report(settings, stage(settings, "bot"))
    assert publish_step(settings, RUN_KEY, "clean") == {
        "quarantine": Lake.open(settings, RUN_KEY.source).snapshot_id("quarantine")
    }
    assert published(settings) == ["bot"]


def test_without_a_gate_nothing_is_published(settings: Settings) -> None:
    stage(settings, "bot")
    with pytest.raises(GateError, match=r"Gate clean has not run for shop 2026-11-20.*run validate_clean.*published"):
        publish_step(settings, RUN_KEY, "clean")
    assert published(settings) == []


def test_tables_staged_after_the_gate_are_not_published(settings: Settings) -> None:
    write_gate_report(settings, stage(settings, "bot"))
    stage(settings, "no_item")
    manifests = r"validated manifest [0-9a-f]{12}, not [0-9a-f]{12}, which is staged: .*run validate_"
    with pytest.raises(GateError, match=f"Gate clean of shop 2026-11-20 {manifests}"):
        publish_step(settings, RUN_KEY, "clean")
    assert published(settings) == []


def test_tables_of_a_closed_gate_are_not_published(settings: Settings) -> None:
    fields = {"expectation": "e", "column": "rule", "description": "known", "observed": "bot", "remedy": "Name it."}
    finding = Finding.model_validate({"table": "quarantine", "severity": "critical", **fields})
    write_gate_report(settings, stage(settings, "bot"), finding)
    with pytest.raises(GateError, match="Gate clean of shop 2026-11-20 is closed: table quarantine, column rule"):
        publish_step(settings, RUN_KEY, "clean")
    assert published(settings) == []
