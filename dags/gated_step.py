"""The two tasks at the end of a step: its gate, and the commit of the tables that passed it."""

from datetime import timedelta
from typing import Any

from airflow.sdk import get_current_context, task
from job_operators import SparkJob
from run_options import resolve_run_key
from run_schedule import SPARK_POOL


@task
def publish(step: str) -> dict[str, int]:
    """Commit the staged tables of a step if they passed its gate unchanged; return the new snapshot ids by table."""
    from pipeline_tasks.config.settings import settings
    from pipeline_tasks.quality.gated_publish import publish_step

    return publish_step(settings(), resolve_run_key(get_current_context()), step)


def gate(step: str) -> SparkJob:
    """Return the task that checks the staged tables of `step` against their expectations."""
    return SparkJob(
        task_id=f"validate_{step}",
        job="validate_tables.py",
        options=[f"--step={step}"],
        pool=SPARK_POOL,
        execution_timeout=timedelta(minutes=30),
    )


def publish_behind_gate(step: str) -> tuple[SparkJob, Any]:
    """Return the gate of `step` and the task that publishes after it, connected."""
    validated = gate(step)
    published = publish.override(task_id=f"publish_{step}")(step)
    validated >> published
    return validated, published
