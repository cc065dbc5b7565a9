import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.config.settings import REPOSITORY, Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.staging import Manifest, StagedTable, publish, read_manifest, write_manifest
from pipeline_tasks.quality.gate_report import GateReport, read_report
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema
from spark_jobs.validate_tables import validate_step
from tests.spark_jobs.gate_case import DS, Row
from tests.spark_jobs.gate_fixtures import GOOD
from tests.spark_jobs.silver_cases import event, sequence

pytestmark = pytest.mark.spark

RUN_KEY = RunKey("shop", DS)
CLEAN = ("events", "quarantine", "reconciliation", "items", "users")


def stage(settings: Settings, step: str, names: Iterable[str], facts: dict[str, str], **changed: list[Row]) -> Manifest:
    lake, tables = Lake.open(settings, RUN_KEY.source), {}
    for name in names:
        empty = dict.fromkeys(TABLES[name].column_names)
        rows = [empty | row for row in changed.get(name, GOOD[name])]
        files = lake.write_arrow(name, pa.Table.from_pylist(rows, schema=arrow_schema(TABLES[name])))
        tables[name] = StagedTable(days=[DS], files=files, rows=len(rows))
    manifest = Manifest(source=RUN_KEY.source, ds=DS, step=step, tables=tables, facts=facts)
    write_manifest(settings, manifest)
    return manifest


def test_a_closed_gate_ends_the_process_with_its_message(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    events = [*GOOD["events"][1:], event(99, event_type="teleport")]
    stage(settings, "clean", CLEAN, {}, events=events)
    command = [sys.executable, "spark_jobs/validate_tables.py", "--step=clean", "--source=shop", f"--date={DS}"]
    environment = os.environ | {"NIGHTSHELF_HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY)}
    ended = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stderr[-2000:]
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("GateError: Gate clean of shop 2026-11-20 is closed: table events, column event_type")
    assert "expect_column_values_to_be_in_set" in last
    assert "observed 1 of 20 rows, e.g. event_type=teleport. Correct the source's mapping" in last
    report = read_report(settings, RUN_KEY, "clean")
    assert (report.passed, sorted(report.tables)) == (False, sorted(CLEAN))
    assert {name for name, table in report.tables.items() if table.failed} == {"events"}
    page = settings.data_docs / report.tables["events"].page(settings.data_docs)
    assert "teleport" in page.read_text()
    assert "closed" in (settings.data_docs / "index.html").read_text()


def rules_folder(home: Path) -> Path:
    """Write the files of business rules as the job does: bob opted out of i4."""
    rules = {"item_id": ["i1", "i2", "i3", "i4"], "allowed": [True] * 4, "replenishable": [False] * 4}
    pq.write_table(pa.table(rules), home / "rules.parquet")
    pq.write_table(pa.table({"user_key": ["bob"], "item_id": ["i4"]}), home / "opt_outs.parquet")
    return home


def validate_recommendations(
    spark: SparkSession, home: Path, top_k: int, excluded: str = "", viewed: str = "i1"
) -> GateReport:
    home.mkdir(exist_ok=True)
    settings = Settings(home=home)
    lake = Lake.open(settings, RUN_KEY.source)
    bought = sequence("ann", item_ids=["i1", "i4", "i1"], event_types=["view", "purchase", "purchase"])
    sequences = [bought, sequence("bob", item_ids=[viewed] * 3), sequence("session:1", user_key=None)]
    publish(lake, stage(settings, "clean", ["items"], {}))
    publish(lake, stage(settings, "split", ["sequences"], {}, sequences=sequences))
    # i4 was bought on the 12th, before the last five days; i1 on the 19th.
    arms = json.dumps([{"name": "control", "by_score": True}])
    facts = {
        "top_k": str(top_k),
        "fallback_k": "2",
        "shown_items": "4",
        "exclude_purchased_days": "5",
        "excluded_event_types": excluded,
        "arms": arms,
        "shelf_folder": str(rules_folder(home)),
    }
    stage(settings, "recommend", ["user_profiles", "recommendations", "fallback_recommendations"], facts)
    return validate_step(spark, settings, RUN_KEY, "recommend")


def test_recommendations_are_validated_against_published_tables(spark: SparkSession, tmp_path: Path) -> None:
    report = validate_recommendations(spark, tmp_path, top_k=2)
    assert report.findings == []
    assert report.passed
    assert report.manifest == read_manifest(Settings(home=tmp_path), RUN_KEY, "recommend").digest
    assert report.tables["recommendations"].rows == 4


def test_too_few_rows_per_user_close_the_gate(spark: SparkSession, tmp_path: Path) -> None:
    # ann may get 3 of the 4 items, and so may bob, who opted out of one: both have 2.
    report = validate_recommendations(spark, tmp_path, top_k=4)
    assert [finding.column for finding in report.critical] == ["user_key"]
    assert "user_key=ann, rows_due=3, rows=2" in report.critical[0].observed


def test_excluded_items_in_the_recommendations_close_the_gate(spark: SparkSession, tmp_path: Path) -> None:
    # Both are shown i2 and i3. ann has i1 and i4, bob viewed i1 and does not want i4: nothing else is due.
    assert validate_recommendations(spark, tmp_path / "due", 4, excluded="purchase,view").passed
    # bob viewed i2, long before the last five days.
    assert validate_recommendations(spark, tmp_path / "allowed", 2, excluded="purchase", viewed="i2").passed
    report = validate_recommendations(spark, tmp_path / "excluded", 2, excluded="purchase,view", viewed="i2")
    assert [finding.column for finding in report.critical] == ["item_id"]
    assert "user_key=bob, item_id=i2" in report.critical[0].observed


def test_nothing_staged_is_a_clear_error(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Step clean has built nothing for shop 2026-11-20"):
        validate_step(spark, Settings(home=tmp_path), RUN_KEY, "clean")
