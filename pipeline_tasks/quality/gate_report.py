"""The report of a gate, a JSON file next to the manifest, and the commit of the tables that passed.

This module does not import Great Expectations, so that DAGs and the command line read reports fast.
"""

from datetime import date
from pathlib import Path
from urllib.parse import quote, unquote

from pydantic import AliasChoices, BaseModel, Field

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.files import write_atomically
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.source_lock import job_lock
from pipeline_tasks.lake.staging import Manifest, publish, read_manifest, staging_folder
from pipeline_tasks.run_key import RunKey


class GateError(ValueError):
    """A critical expectation failed, or the staged data are not those that the gate passed."""


class Finding(BaseModel):
    """One expectation that failed."""

    table: str
    severity: str
    expectation: str
    column: str
    description: str = Field(validation_alias=AliasChoices("description", "says"))
    """What the rule requires. Reports of versions before 0.2 call it `says`."""
    observed: str
    remedy: str

    def __str__(self) -> str:
        return (
            f"table {self.table}, column {self.column}: {self.description} ({self.expectation}); "
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
        """Return the path of the page, relative to the folder of the Data Docs."""
        return unquote(self.docs).removeprefix(f"file://{docs_folder.resolve()}/")


class GateReport(BaseModel):
    """The outcome of one step's gate."""

    source: str
    ds: date
    step: str
    manifest: str = ""
    """Digest of the manifest that was validated; empty in reports of old versions."""
    seconds: float
    passed: bool
    tables: dict[str, TableReport]
    findings: list[Finding]

    @property
    def critical(self) -> list[Finding]:
        """The findings that close the gate."""
        return [finding for finding in self.findings if finding.severity == "critical"]

    def raise_for_critical(self) -> None:
        """Raise `GateError` when the gate is closed.

        The message names table, column, expectation, observed value and remedy of the first critical finding.
        """
        if not self.critical:
            return
        first, *others = self.critical
        also = f" (and {len(others)} more: {', '.join(sorted({f.table for f in others}))})" if others else ""
        raise GateError(
            f"Gate {self.step} of {self.source} {self.ds} is closed{also}: {first} "
            f"Nothing was published. Data Docs: {self.tables[first.table].docs}"
        )


def report_path(settings: Settings, run_key: RunKey, step: str) -> Path:
    """Return the path of the report of a step's gate."""
    return staging_folder(settings, run_key) / f"gate_{step}.json"


def gate_anchor(source: str, ds: date, step: str) -> str:
    """Return the id of a gate's first row on the front page of the Data Docs."""
    return f"{source}-{ds}-{step}"


def gate_address(settings: Settings, run_key: RunKey, step: str) -> str:
    """Return the address of the page of the first table that closed the gate, or of the gate on the front page."""
    site = settings.data_docs_page
    if report_path(settings, run_key, step).exists():
        report = read_report(settings, run_key, step)
        if report.critical:
            return f"{site}/{quote(report.tables[report.critical[0].table].page(settings.data_docs))}"
    return f"{site}/#{quote(gate_anchor(run_key.source, run_key.ds, step))}"


def write_report(settings: Settings, report: GateReport) -> Path:
    """Write the report, replacing an earlier one."""
    path = report_path(settings, RunKey(report.source, report.ds), report.step)
    write_atomically(path, report.model_dump_json(indent=1))
    return path


def read_report(settings: Settings, run_key: RunKey, step: str) -> GateReport:
    """Return the report of a step's gate.

    Raises:
        FileNotFoundError: the gate has not run.
    """
    path = report_path(settings, run_key, step)
    if not path.exists():
        raise FileNotFoundError(f"Gate {step} has not run for {run_key.source} {run_key.ds}: {path} is missing")
    return GateReport.model_validate_json(path.read_text())


def publish_step(settings: Settings, run_key: RunKey, step: str) -> dict[str, int]:
    """Commit the tables that `step` staged and return the new snapshot ids by table.

    Raises:
        FileNotFoundError: the step has staged nothing.
        GateError: its gate has not run, is closed, or validated another manifest than the staged one (for example,
            because the job was run again by hand). Nothing is published.
    """
    with job_lock(settings, run_key.source, f"publish_{step} {run_key.ds}"):
        manifest = read_manifest(settings, run_key, step)
        _require_passed(settings, run_key, manifest)
        return publish(Lake.open(settings, run_key.source), manifest)


def _require_passed(settings: Settings, run_key: RunKey, manifest: Manifest) -> None:
    step = manifest.step
    remedy = f"run validate_{step} (spark_jobs/validate_tables.py --step {step}), then publish. Nothing was published"
    try:
        report = read_report(settings, run_key, step)
    except FileNotFoundError as error:
        raise GateError(f"{error}: {remedy}") from error
    if report.manifest != manifest.digest:
        raise GateError(
            f"Gate {step} of {run_key.source} {run_key.ds} validated manifest {report.manifest[:12] or '(unknown)'}, "
            f"not {manifest.digest[:12]}, which is staged: {remedy}"
        )
    report.raise_for_critical()
