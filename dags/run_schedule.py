"""What all DAGs of the night share: the assets that join them, the clock, and how tasks are run."""

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, CronPartitionTimetable, PartitionedAssetTimetable
from airflow.sdk import configuration as airflow_configuration
from run_choice import night

from pipeline_tasks.config.settings import settings
from pipeline_tasks.sources.sources import SourceError, load_source

PREPARED_BEHAVIOR = Asset("prepared_behavior")
CHAMPION_RECOMMENDER = Asset("champion_recommender")
NIGHTLY_SHELVES = Asset("nightly_shelves")


def _nightly_zone() -> str:
    """Return the time zone of the nightly source; UTC where it cannot be read, which a run then says."""
    try:
        return load_source(settings().source).timezone or "UTC"
    except (FileNotFoundError, SourceError):
        return "UTC"


def every_night() -> CronPartitionTimetable:
    """Return the schedule of the nightly run, by the clock of the nightly source."""
    return CronPartitionTimetable(
        settings().schedule,
        timezone=_nightly_zone(),
        # The night of 02:00 is about the day that has just ended.
        run_offset=-1,
        key_format="%Y-%m-%d",
        # Without it, starting Airflow shortly after 02:00 would run the last night at once, beside the one asked for.
        run_immediately=timedelta(0),
    )


EVERY_NIGHT = every_night()

SPARK_POOL = "spark"
GPU_POOL = "gpu"
LIGHT_POOL = "default_pool"

SHARED: dict[str, Any] = {
    "catchup": False,
    # Two nights at once would fight for the same machine, and for the champion.
    "max_active_runs": 1,
    "is_paused_upon_creation": False,
    "user_defined_macros": {"night": night},
    "default_args": {
        "retries": 1,
        "retry_delay": timedelta(seconds=10),
        "execution_timeout": timedelta(minutes=10),
        "pool": LIGHT_POOL,
    },
}
"""Arguments of every DAG."""


def after(asset: Asset) -> PartitionedAssetTimetable:
    """Return the schedule of a DAG that runs for every night of `asset`."""
    return PartitionedAssetTimetable(assets=asset)


def on_one_gpu() -> dict[str, Any]:
    """Return the arguments of a task that needs a GPU: LocalExecutor heeds the pool, Celery the queue, Kubernetes all.

    On a machine without a GPU the task runs on its cores.
    """
    executors = airflow_configuration.conf.get("core", "executor")
    return {"pool": GPU_POOL, "queue": "gpu", "executor_config": pod_with_one_gpu(executors)}


def pod_with_one_gpu(executors: str) -> dict[str, Any]:
    """Return the executor_config that asks for one GPU; empty where `executors` (core.executor) start no pods."""
    if "Kubernetes" not in executors:
        return {}
    # Imported only where it is heeded: it would cost every start of a task a second.
    from kubernetes.client import models  # type: ignore[import-untyped]

    gpu = models.V1ResourceRequirements(limits={"nvidia.com/gpu": "1"})
    return {
        "pod_override": models.V1Pod(spec=models.V1PodSpec(containers=[models.V1Container(name="base", resources=gpu)]))
    }


__all__ = [
    "CHAMPION_RECOMMENDER",
    "EVERY_NIGHT",
    "GPU_POOL",
    "LIGHT_POOL",
    "NIGHTLY_SHELVES",
    "PREPARED_BEHAVIOR",
    "SHARED",
    "SPARK_POOL",
    "after",
    "every_night",
    "on_one_gpu",
    "pod_with_one_gpu",
]
