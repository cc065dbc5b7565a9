"""MLflow runs: one parent per night, one child per candidate, each with the snapshots it was made from."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import mlflow
from mlflow.data.dataset_source_registry import resolve_dataset_source
from mlflow.data.meta_dataset import MetaDataset

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.registry.registry import client, registry
from pipeline_tasks.run_key import RunKey

SYSTEM_METRICS_SECONDS = 5
OF_AN_EXPERIMENT: Final = {
    # Of training: not of prompts and agents, which MLflow takes for the usual.
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": "One run per night, and below it one per candidate. The night's run holds the comparison: "
    "artifacts, **evaluation**. Who reigns: model registry, alias *champion*.",
}


def start_night_run(settings: Settings, night: RunKey) -> str:
    """Start the parent run of a night's fine-tuning and return its id; it stays open for the tasks that follow."""
    tags = {"source": night.source, "ds": night.ds.isoformat(), "mlflow.runName": f"night {night.ds.isoformat()}"}
    run_id: str = client(settings).create_run(experiment_id(settings, night), tags=tags).info.run_id
    return run_id


def experiment_id(settings: Settings, night: RunKey) -> str:
    """Return the experiment of the night's source, made if it is new."""
    api, name = client(settings), registry().experiment_name(night)
    experiment = api.get_experiment_by_name(name)
    found: str = experiment.experiment_id if experiment else api.create_experiment(name, tags=OF_AN_EXPERIMENT)
    return found


def runs_page(settings: Settings, night: RunKey) -> str:
    """Return the address of the runs of the night's source in MLflow's UI, of MLflow itself where there are none."""
    experiment = client(settings).get_experiment_by_name(registry().experiment_name(night))
    if experiment is None:
        return settings.tracking_uri
    # Without the choice, MLflow 3 opens the experiment as one of traces of language models: empty.
    return f"{settings.tracking_uri}/#/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning"


@contextmanager
def candidate_run(settings: Settings, parent_run_id: str, name: str) -> Iterator[mlflow.ActiveRun]:
    """Open a child run of the night's run, with system metrics; it fails when what happens inside raises."""
    parent = client(settings).get_run(parent_run_id)
    mlflow.set_experiment(experiment_id=parent.info.experiment_id)
    mlflow.set_system_metrics_sampling_interval(SYSTEM_METRICS_SECONDS)
    tags = {key: parent.data.tags[key] for key in ("source", "ds")} | {"candidate": name}
    with mlflow.start_run(run_name=name, parent_run_id=parent_run_id, tags=tags, log_system_metrics=True) as run:
        yield run


@contextmanager
def night_run(settings: Settings, run_id: str) -> Iterator[mlflow.ActiveRun]:
    """Go on with the night's parent run, and finish it."""
    client(settings)
    with mlflow.start_run(run_id=run_id) as run:
        yield run


def log_snapshots(lake: Lake, snapshots: dict[str, int], context: str) -> None:
    """Record on the active run the Iceberg snapshots that were read, as MLflow data sets and as tags."""
    for name, snapshot in snapshots.items():
        source = resolve_dataset_source(lake.table(name).location())
        # MLflow leaves one method of its class abstract for type checkers only.
        data = MetaDataset(source, name=f"{lake.source}.{name}", digest=str(snapshot))  # type: ignore[abstract]
        mlflow.log_input(data, context=context)
        mlflow.set_tag(f"snapshot.{name}", str(snapshot))
