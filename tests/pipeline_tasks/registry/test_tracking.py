from datetime import date
from pathlib import Path

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.registry.descriptions import NOTE
from pipeline_tasks.registry.registry import client, set_champion
from pipeline_tasks.registry.tracking import experiment_id, runs_page, start_parent_run
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
    assert "Champion: none yet; [nightshelf-corner_shop](#/models/nightshelf-corner_shop)" in experiment.tags[NOTE]
    page = f"{uri}/#/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning"
    assert runs_page(settings, RUN_KEY) == page


def test_the_experiment_leads_to_the_champion_unless_a_person_described_it(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, mlflow_tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    api, model = client(settings), "nightshelf-corner_shop"
    run_id = start_parent_run(settings, RUN_KEY)
    assert "The comparison and the verdict follow" in api.get_run(run_id).data.tags[NOTE]
    api.create_registered_model(model)
    experiment = experiment_id(settings, RUN_KEY)
    for version in ("1", "2"):
        api.create_model_version(model, str(tmp_path))
        set_champion(settings, RUN_KEY, version)
        shown = api.get_experiment(experiment).tags[NOTE].splitlines()[0]
        assert f"[version {version}](#/models/{model}/versions/{version})" in shown, "MLflow folds the other lines"
    api.set_experiment_tag(experiment, NOTE, "Ask the data team.")
    set_champion(settings, RUN_KEY, "1")
    assert api.get_experiment(experiment).tags[NOTE] == "Ask the data team."
    # The description that earlier versions wrote is replaced.
    api.set_experiment_tag(experiment, NOTE, "One run for each day, and below it one for each candidate.")
    start_parent_run(settings, RUN_KEY)
    assert f"#/models/{model}/versions/1" in api.get_experiment(experiment).tags[NOTE]
