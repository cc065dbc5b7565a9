from html import escape
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.quality.gate_pages import POLICY
from pipeline_tasks.quality.gate_runner import SUITES, GateRun
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import spark_ddl
from tests.spark_jobs.gate_case import DS, VIEWS, Row
from tests.spark_jobs.gate_fixtures import DEFECTS, GOOD, interpreted  # noqa: F401 - the fixture
from tests.spark_jobs.silver_cases import event

SILVER = ("events", "quarantine", "reconciliation", "items", "users")


pytestmark = pytest.mark.usefixtures("interpreted")


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> GateRun:
    return GateRun(tmp_path_factory.mktemp("docs"), "shop 2026-11-20 test")


def frame(spark: SparkSession, table: str, rows: list[Row]) -> DataFrame:
    empty = dict.fromkeys(TABLES[table].column_names)
    return spark.createDataFrame([empty | row for row in rows], spark_ddl(TABLES[table])).coalesce(1)


@pytest.fixture
def tables(spark: SparkSession) -> SparkSession:
    """All valid tables as views, and the facts of the recommendations."""
    for table, rows in GOOD.items():
        frame(spark, table, rows).createOrReplaceTempView(table)
    for view, (columns, facts) in VIEWS.items():
        spark.createDataFrame(facts, columns).createOrReplaceTempView(view)
    return spark


def test_every_table_has_a_suite_and_rows_to_try_it() -> None:
    assert set(SUITES) == set(GOOD) == {defect.table for defect in DEFECTS.values()} == set(TABLES)


@pytest.mark.parametrize("table", GOOD)
def test_a_good_table_passes(gate: GateRun, tables: SparkSession, table: str) -> None:
    report, findings = gate.validate(table, tables.table(table))
    assert findings == []
    assert (report.rows, report.failed, report.warnings) == (len(GOOD[table]), 0, 0)
    assert report.expectations >= len(TABLES[table].columns)


@pytest.mark.parametrize("name", DEFECTS)
def test_defects_are_caught(gate: GateRun, tables: SparkSession, name: str) -> None:
    defect = DEFECTS[name]
    rows = frame(tables, defect.table, defect.rows)
    rows.createOrReplaceTempView(defect.table)
    _, findings = gate.validate(defect.table, rows)
    assert {(finding.column, finding.severity) for finding in findings} == defect.expected
    assert all(finding.remedy and finding.observed for finding in findings)


@pytest.mark.parametrize("name", [name for name in DEFECTS if DEFECTS[name].table in SILVER and DEFECTS[name].rows])
def test_defects_of_staged_files_are_caught(gate: GateRun, tables: SparkSession, name: str, tmp_path: Path) -> None:
    """Footers prove most rules; they must not prove the broken ones."""
    defect = DEFECTS[name]
    frame(tables, defect.table, defect.rows).write.parquet(str(tmp_path / "staged"))
    rows = tables.read.parquet(str(tmp_path / "staged"))
    rows.createOrReplaceTempView(defect.table)
    _, findings = gate.validate(defect.table, rows)
    assert {(finding.column, finding.severity) for finding in findings} == defect.expected


@pytest.mark.parametrize("table", SILVER)
def test_good_staged_files_pass(gate: GateRun, tables: SparkSession, table: str, tmp_path: Path) -> None:
    frame(tables, table, GOOD[table]).write.parquet(str(tmp_path / "staged"))
    report, findings = gate.validate(table, tables.read.parquet(str(tmp_path / "staged")))
    assert findings == []
    assert report.rows == len(GOOD[table])


def test_messages_hold_the_values_at_fault(gate: GateRun, tables: SparkSession) -> None:
    rows = frame(tables, "events", DEFECTS["event values"].rows)
    _, findings = gate.validate("events", rows)
    observed = {finding.column: finding.observed for finding in findings}
    assert observed["event_type"] == "1 of 10 rows, e.g. event_type=teleport"
    assert "event_id=1, times=2" in observed["ds, event_id"]
    assert "ts=2026-11-19" in observed["ts"]


def test_wrong_types_and_columns_come_first(gate: GateRun, tables: SparkSession) -> None:
    rows = tables.table("similar_items").withColumn("item_id", F.lit(1.5)).withColumn("extra", F.lit(DS))
    _, findings = gate.validate("similar_items", rows)
    kinds = [finding.expectation for finding in findings]
    assert kinds[:2] == ["expect_table_columns_to_match_ordered_list", "expect_column_values_to_be_of_type"]
    # 'i2' cannot be compared with a number: the rule fails too, in words, and the gate stays closed.
    assert any("could not be computed" in finding.observed for finding in findings)


def test_a_missing_column_closes_the_gate(gate: GateRun, tables: SparkSession) -> None:
    _, findings = gate.validate("sequences", tables.table("sequences").drop("timestamps"))
    assert (findings[0].column, findings[0].severity) == ("*", "critical")
    assert {finding.column for finding in findings} >= {"timestamps"}


def test_data_docs_are_pages_on_file(gate: GateRun, tables: SparkSession) -> None:
    report, _ = gate.validate("users", tables.table("users"))
    gate.build_docs()
    assert "user_key" in (gate.docs_folder / report.page(gate.docs_folder)).read_text()


def test_intent_no_better_than_its_base_rate_is_a_warning(gate: GateRun, tables: SparkSession) -> None:
    facts = [("intent_auc", "0.49"), ("intent_log_loss", "0.6"), ("intent_base_log_loss", "0.6")]
    tables.createDataFrame(facts, VIEWS["manifest_facts"][0]).createOrReplaceTempView("manifest_facts")
    _, findings = gate.validate("purchase_intent", tables.table("purchase_intent"))
    assert [(finding.column, finding.severity) for finding in findings] == [("probability", "warning")]
    assert "2 rows" in findings[0].observed


def test_scores_may_rise_where_the_arm_mixes_or_a_slot_is_for_new_items(gate: GateRun, tables: SparkSession) -> None:
    mixed = [row | {"arm": "mixed", "score": float(row["rank"])} for row in GOOD["recommendations"]]
    new = [row | {"score": float(row["rank"]), "reason": "new in Tea"} for row in GOOD["recommendations"]]
    for rows in (mixed, new):
        assert gate.validate("recommendations", frame(tables, "recommendations", rows))[1] == []


def test_a_value_that_is_html_is_shown_as_text(tables: SparkSession, tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    gate = GateRun(tmp_path, "shop 2026-11-20 hostile")
    rows = frame(tables, "events", [*GOOD["events"], event(90, event_type=hostile)])
    rows.createOrReplaceTempView("events")
    report, findings = gate.validate("events", rows)
    assert any(hostile in finding.observed for finding in findings), "a message is no HTML"
    gate.build_docs()
    page = (tmp_path / report.page(tmp_path)).read_text()
    assert escape(hostile) in page
    assert hostile not in page
    assert POLICY in page
