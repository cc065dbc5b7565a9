from datetime import date
from pathlib import Path

import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.quality.gate_pages import write_index
from pipeline_tasks.quality.gate_report import Finding, GateError, GateReport, TableReport, read_report, write_report
from pipeline_tasks.run_key import RunKey


def finding(table: str, severity: str) -> Finding:
    return Finding(
        table=table,
        severity=severity,
        expectation="expect_column_values_to_be_in_set",
        column="event_type",
        description="values in ['view']",
        observed="1 of 9 rows, e.g. 'teleport'",
        remedy="Correct the mapping.",
    )


def report(home: Path, *findings: Finding, rows: int = 9) -> GateReport:
    docs = f"file://{home}/data_docs/validations/events/a%20b/events.html"
    failed = sum(f.severity == "critical" for f in findings)
    tables = {"events": TableReport(rows=rows, expectations=5, failed=failed, warnings=len(findings), docs=docs)}
    return GateReport(
        source="shop",
        ds=date(2026, 11, 20),
        step="clean",
        seconds=1.5,
        passed=not failed,
        tables=tables,
        findings=list(findings),
    )


def test_message_names_table_column_rule_value_and_remedy(tmp_path: Path) -> None:
    closed = report(tmp_path, finding("events", "warning"), finding("events", "critical"), finding("items", "critical"))
    with pytest.raises(GateError) as error:
        closed.raise_for_critical()
    message = str(error.value)
    assert message.startswith(
        "Gate clean of shop 2026-11-20 is closed (and 1 more: items): table events, column event_type"
    )
    for part in (
        "expect_column_values_to_be_in_set",
        "1 of 9 rows, e.g. 'teleport'",
        "Correct the mapping.",
        "file://",
    ):
        assert part in message
    assert "\n" not in message


def test_warnings_do_not_close_the_gate(tmp_path: Path) -> None:
    report(tmp_path, finding("events", "warning")).raise_for_critical()


def test_a_written_report_is_read_unchanged(tmp_path: Path) -> None:
    settings, run_key = Settings(home=tmp_path), RunKey("shop", date(2026, 11, 20))
    with pytest.raises(FileNotFoundError, match="Gate clean has not run for shop 2026-11-20"):
        read_report(settings, run_key, "clean")
    written = report(tmp_path, finding("events", "critical"))
    path = write_report(settings, written)
    assert path == tmp_path / "staging/shop/2026-11-20/gate_clean.json"
    assert read_report(settings, run_key, "clean") == written
    path.write_text(path.read_text().replace('"description"', '"says"'))
    assert read_report(settings, run_key, "clean") == written, "a report of an earlier version"


def test_index_links_every_table_and_marks_closed_gates(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    write_report(settings, report(tmp_path, finding("events", "critical"), rows=1234))
    page = write_index(settings).read_text()
    assert '<a href="validations/events/a%20b/events.html">events</a>' in page
    assert "1,234" in page
    assert "1 critical" in page


def test_index_lists_the_findings_of_each_table(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    write_report(settings, report(tmp_path, finding("events", "warning"), finding("items", "warning")))
    page = write_index(settings).read_text()
    assert page.count("<small>warning, event_type: values in [&#x27;view&#x27;]</small>") == 1
