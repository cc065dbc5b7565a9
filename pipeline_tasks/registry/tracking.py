"""MLflow runs: a parent run for each nightly run and a child run for each candidate, with the snapshots they read."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import mlflow
from mlflow.data.dataset_source_registry import resolve_dataset_source
from mlflow.data.meta_dataset import MetaDataset
from mlflow.utils.git_utils import get_git_commit

from pipeline_tasks.config.settings import IS_WHEEL, REPOSITORY, Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.registry.descriptions import NOTE, started_note
from pipeline_tasks.registry.registry import client, describe_experiment, registry
from pipeline_tasks.run_key import RunKey

SYSTEM_METRICS_SECONDS = 5
# Without this tag, MLflow 3 shows the experiment as one of language models.
_EXPERIMENT_TAGS: Final = {"mlflow.experimentKind": "custom_model_development"}


def start_parent_run(settings: Settings, key: RunKey) -> str:
    """Start the parent run of a day's fine-tuning and return its id. It stays open for the following tasks."""
    tags = {"source": key.source, "ds": key.ds.isoformat(), "mlflow.runName": f"night {key.ds.isoformat()}"}
    tags[NOTE] = started_note(key)
    experiment = experiment_id(settings, key)
    describe_experiment(settings, key)
    run_id: str = client(settings).create_run(experiment, tags=tags).info.run_id
    return run_id


def experiment_id(settings: Settings, key: RunKey) -> str:
    """Return the id of the source's experiment, which is created where it is missing."""
    api, name = client(settings), registry().experiment_name(key)
    experiment = api.get_experiment_by_name(name)
    found: str = experiment.experiment_id if experiment else api.create_experiment(name, tags=_EXPERIMENT_TAGS)
    return found


def runs_page(settings: Settings, key: RunKey) -> str:
    """Return the address of the source's runs in MLflow's UI; the address of MLflow where there are none."""
    experiment = client(settings).get_experiment_by_name(registry().experiment_name(key))
    if experiment is None:
        return settings.mlflow_page
    # Without workflowType, MLflow 3 opens an empty page of traces of language models.
    return f"{_runs(settings, experiment.experiment_id)}?workflowType=machine_learning"


def runs_address(settings: Settings, key: RunKey) -> str:
    """Return the address to which a slash and the id of a run are added to open it."""
    return _runs(settings, experiment_id(settings, key))


def _runs(settings: Settings, experiment: str) -> str:
    return f"{settings.mlflow_page}/#/experiments/{experiment}/runs"


@contextmanager
def candidate_run(settings: Settings, parent_run_id: str, name: str) -> Iterator[mlflow.ActiveRun]:
    """Open a child run of the parent run, with system metrics. The run is marked as failed where the body raises."""
    parent = client(settings).get_run(parent_run_id)
    mlflow.set_experiment(experiment_id=parent.info.experiment_id)
    mlflow.set_system_metrics_sampling_interval(SYSTEM_METRICS_SECONDS)
    tags = {key: parent.data.tags[key] for key in ("source", "ds")} | {"candidate": name}
    with mlflow.start_run(run_name=name, parent_run_id=parent_run_id, tags=tags, log_system_metrics=True) as run:
        yield run


@contextmanager
def resume_parent_run(settings: Settings, run_id: str) -> Iterator[mlflow.ActiveRun]:
    """Continue the parent run, and finish it."""
    client(settings)
    with mlflow.start_run(run_id=run_id) as run:
        yield run


def log_snapshots(lake: Lake, snapshots: dict[str, int], context: str) -> None:
    """Record the Iceberg snapshots that were read on the active run, as MLflow data sets and as tags."""
    for name, snapshot in snapshots.items():
        source = resolve_dataset_source(lake.table(name).location())
        # For type checkers, one method of MLflow's class is abstract.
        data = MetaDataset(source, name=f"{lake.source}.{name}", digest=str(snapshot))  # type: ignore[abstract]
        mlflow.log_input(data, context=context)
        mlflow.set_tag(f"snapshot.{name}", str(snapshot))


def git_commit() -> str | None:
    """Return the commit of the code; None where it is installed, and in containers: these have no repository."""
    return None if IS_WHEEL else get_git_commit(str(REPOSITORY))
