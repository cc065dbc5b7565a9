"""What the DAGs share: the assets that connect them, the schedule, and the arguments of tasks."""

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, CronPartitionTimetable, PartitionedAssetTimetable
from airflow.sdk import configuration as airflow_configuration
from run_options import run_options

from pipeline_tasks.config.settings import settings
from pipeline_tasks.sources.sources import SourceError, load_source

PREPARED_BEHAVIOR = Asset("prepared_behavior")
CHAMPION_RECOMMENDER = Asset("champion_recommender")
NIGHTLY_RECOMMENDATIONS = Asset("nightly_shelves")


def _source_timezone() -> str:
    """Return the time zone of the nightly source; UTC where it cannot be read: its runs then fail with the reason."""
    try:
        return load_source(settings().source).timezone or "UTC"
    except (FileNotFoundError, SourceError):
        return "UTC"


def nightly_schedule() -> CronPartitionTimetable:
    """Return the schedule of the nightly run, by the clock of the source."""
    return CronPartitionTimetable(
        settings().schedule,
        timezone=_source_timezone(),
        # The run at 02:00 is about the day that has just ended.
        run_offset=-1,
        key_format="%Y-%m-%d",
        # Otherwise an Airflow that starts shortly after 02:00 would at once start a run that nobody requested.
        run_immediately=timedelta(0),
    )


NIGHTLY_SCHEDULE = nightly_schedule()

SPARK_POOL = "spark"
GPU_POOL = "gpu"
LIGHT_POOL = "default_pool"

DAG_DEFAULTS: dict[str, Any] = {
    "catchup": False,
    # Two runs at once would compete for the same machine and for the champion.
    "max_active_runs": 1,
    "is_paused_upon_creation": False,
    "user_defined_macros": {"run_options": run_options},
    "default_args": {
        "retries": 1,
        "retry_delay": timedelta(seconds=10),
        "execution_timeout": timedelta(minutes=10),
        "pool": LIGHT_POOL,
    },
}
"""The arguments that every DAG has."""


def after(asset: Asset) -> PartitionedAssetTimetable:
    """Return the schedule of a DAG that runs once for every day of `asset`."""
    return PartitionedAssetTimetable(assets=asset)


def on_one_gpu() -> dict[str, Any]:
    """Return the arguments of a task that needs a GPU: its pool, its queue for Celery, its pod for Kubernetes.

    On a machine without a GPU the task runs on the CPU.
    """
    executors = airflow_configuration.conf.get("core", "executor")
    return {"pool": GPU_POOL, "queue": "gpu", "executor_config": pod_with_one_gpu(executors)}


def pod_with_one_gpu(executors: str) -> dict[str, Any]:
    """Return the executor_config that requests one GPU; empty where `executors` (core.executor) start no pods."""
    if "Kubernetes" not in executors:
        return {}
    # Imported only where it is needed: it adds a second to every start of a task.
    from kubernetes.client import models  # type: ignore[import-untyped]

    gpu = models.V1ResourceRequirements(limits={"nvidia.com/gpu": "1"})
    return {
        "pod_override": models.V1Pod(spec=models.V1PodSpec(containers=[models.V1Container(name="base", resources=gpu)]))
    }
