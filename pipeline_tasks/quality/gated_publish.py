"""Publishes the tables of a step if its gate passed exactly the staged manifest. Airflow runs it after each gate."""

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.source_lock import job_lock
from pipeline_tasks.lake.staging import Manifest, publish, read_manifest
from pipeline_tasks.quality.gate_report import GateError, read_report
from pipeline_tasks.run_key import RunKey


def publish_step(settings: Settings, night: RunKey, step: str) -> dict[str, int]:
    """Commit the tables that `step` staged and return the new snapshot ids by table.

    Raises:
        FileNotFoundError: the step has staged nothing.
        GateError: its gate has not run, is closed, or validated another manifest than the staged one (for example,
            because the job was run again by hand). Nothing is published.
    """
    with job_lock(settings, night.source, f"publish_{step} {night.ds}"):
        manifest = read_manifest(settings, night, step)
        _require_passed(settings, night, manifest)
        return publish(Lake.open(settings, night.source), manifest)


def _require_passed(settings: Settings, night: RunKey, manifest: Manifest) -> None:
    step = manifest.step
    remedy = f"run validate_{step} (spark_jobs/validate_tables.py --step {step}), then publish. Nothing was published"
    try:
        report = read_report(settings, night, step)
    except FileNotFoundError as error:
        raise GateError(f"{error}: {remedy}") from error
    if report.manifest != manifest.digest:
        raise GateError(
            f"Gate {step} of {night.source} {night.ds} validated manifest {report.manifest[:12] or '(unknown)'}, not "
            f"{manifest.digest[:12]}, which is staged: {remedy}"
        )
    report.raise_for_critical()
