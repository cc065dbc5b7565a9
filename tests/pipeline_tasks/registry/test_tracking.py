from datetime import date
from pathlib import Path

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.registry.registry import client
from pipeline_tasks.registry.tracking import runs_page, start_parent_run
from pipeline_tasks.run_key import RunKey

RUN_KEY = RunKey("corner_shop", date(2026, 11, 20))


def test_mlflow_is_opened_at_the_runs_and_as_training(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    settings = Settings(home=tmp_path, mlflow_tracking_uri=uri)
    assert runs_page(settings, RUN_KEY) == uri
    start_parent_run(settings, RUN_KEY)
    experiment = client(settings).get_experiment_by_name("nightshelf/corner_shop")
    assert experiment is not None
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert "one for each candidate" in experiment.tags["mlflow.note.content"]
    page = f"{uri}/#/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning"
    assert runs_page(settings, RUN_KEY) == page
