"""What a gate found: the JSON beside the manifest, and the one message that stops a night.

Imports no Great Expectations: DAGs and the command line read reports cheaply.
"""

from datetime import date
from pathlib import Path
from urllib.parse import unquote

from pydantic import BaseModel

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.atomic_write import write_atomically
from pipeline_tasks.lake.staging import night_folder
from pipeline_tasks.run_key import RunKey


class GateError(ValueError):
    """A critical expectation failed, or what is to be published is not what the gate let through."""


class Finding(BaseModel):
    """One expectation that does not hold."""

    table: str
    severity: str
    expectation: str
    column: str
    says: str
    observed: str
    remedy: str

    def __str__(self) -> str:
        return (
            f"table {self.table}, column {self.column}: {self.says} ({self.expectation}); "
            f"observed {self.observed}. {self.remedy}"
        )


class TableReport(BaseModel):
    """The outcome of one table's suite."""

    rows: int
    expectations: int
    failed: int
    warnings: int
    docs: str
    """URL of the table's Data Docs page."""

    def page(self, docs_folder: Path) -> str:
        """Return where the page lies below the folder of the Data Docs."""
        return unquote(self.docs).removeprefix(f"file://{docs_folder.resolve()}/")


class GateReport(BaseModel):
    """The outcome of one step's gate."""

    source: str
    ds: date
    step: str
    manifest: str = ""
    """Digest of the manifest that was validated; reports of old say none."""
    seconds: float
    passed: bool
    tables: dict[str, TableReport]
    findings: list[Finding]

    @property
    def critical(self) -> list[Finding]:
        """The findings that stop the night."""
        return [finding for finding in self.findings if finding.severity == "critical"]

    def raise_for_critical(self) -> None:
        """Raise `GateError` naming table, expectation, column, observed value and remedy when the gate is closed."""
        if not self.critical:
            return
        first, *others = self.critical
        also = f" (and {len(others)} more: {', '.join(sorted({f.table for f in others}))})" if others else ""
        raise GateError(
            f"Gate {self.step} of {self.source} {self.ds} is closed{also}: {first} "
            f"Nothing was published. Data Docs: {self.tables[first.table].docs}"
        )


def report_path(settings: Settings, night: RunKey, step: str) -> Path:
    """Return where the report of a step's gate lies."""
    return night_folder(settings, night) / f"gate_{step}.json"


def write_report(settings: Settings, report: GateReport) -> Path:
    """Write the report, replacing an earlier one."""
    path = report_path(settings, RunKey(report.source, report.ds), report.step)
    write_atomically(path, report.model_dump_json(indent=1))
    return path


def read_report(settings: Settings, night: RunKey, step: str) -> GateReport:
    """Read the report of a step's gate."""
    path = report_path(settings, night, step)
    if not path.exists():
        raise FileNotFoundError(f"Gate {step} has not run for {night.source} {night.ds}: {path} is missing")
    return GateReport.model_validate_json(path.read_text())
