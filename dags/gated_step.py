"""A step's gate and, directly behind it, the commit of what it let through."""

from datetime import timedelta
from typing import Any

from airflow.sdk import get_current_context, task
from command_line import SparkJob
from run_choice import settle_night
from run_schedule import SPARK_POOL


@task
def publish(step: str) -> dict[str, int]:
    """Commit the tables of a step if its gate let them through as they are staged; return the new snapshot ids."""
    from pipeline_tasks.config.settings import settings
    from pipeline_tasks.quality.gated_publish import publish_step

    return publish_step(settings(), settle_night(get_current_context()), step)


def gate(step: str) -> SparkJob:
    """Return the task that holds what `step` staged against its expectations."""
    return SparkJob(
        task_id=f"validate_{step}",
        job="validate_tables.py",
        options=[f"--step={step}"],
        pool=SPARK_POOL,
        execution_timeout=timedelta(minutes=30),
    )


def publish_behind_gate(step: str) -> tuple[SparkJob, Any]:
    """Return the gate of `step` and the task that publishes behind it, joined."""
    validated = gate(step)
    published = publish.override(task_id=f"publish_{step}")(step)
    validated >> published
    return validated, published
