"""An option search as in a nightly run: real trials, study and MLflow store, on a tiny shop."""

from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
import torch

from pipeline_tasks.candidates.train_candidate import train_candidate
from pipeline_tasks.config.settings import Settings
from pipeline_tasks.config.training_settings import TrainingSettings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.staging import staging_folder
from pipeline_tasks.models.two_tower.saved_recommender import load_recommender
from pipeline_tasks.registry.candidate_files import Candidate
from pipeline_tasks.registry.registry import client
from pipeline_tasks.registry.tracking import start_parent_run
from pipeline_tasks.training import fit_two_tower
from tests.pipeline_tasks.tiny_shop import RUN_KEY, write_tiny_shop

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("home")
    training = TrainingSettings(dimension=16, epochs=3, max_length=20, threads=1)
    settings = Settings(home=home, mlflow_tracking_uri=f"sqlite:///{home}/mlflow.db", training=training)
    write_tiny_shop(Lake.open(settings, RUN_KEY.source))
    client(settings).create_experiment(f"nightshelf/{RUN_KEY.source}", artifact_location=f"file://{home}/artifacts")
    return settings


def trials_of(candidate: Candidate) -> list[mlflow.entities.Run]:
    experiment = mlflow.get_run(candidate.run_id).info.experiment_id
    below = f"tags.mlflow.parentRunId = '{candidate.run_id}'"
    return list(mlflow.search_runs([experiment], below, order_by=["start_time"], output_format="list"))


def spoil_training(number: int, fit: Callable[..., object]) -> Callable[..., object]:
    """Give the training with that number random weights after each epoch, so that it is pruned on every processor."""
    trained: list[object] = []

    def spoiled(trainer: fit_two_tower.TwoTowerTrainer, after_epoch: Callable[[int, float], bool]) -> object:
        trained.append(trainer)

        def randomize_weights(epoch: int, loss: float) -> bool:
            with torch.no_grad():
                for weights in trainer.recommender.model.parameters():
                    weights.normal_()
            return after_epoch(epoch, loss)

        return fit(trainer, randomize_weights if len(trained) == number else after_epoch)

    return spoiled


def test_a_killed_search_is_resumed_its_winner_is_the_candidate_and_pruned_trials_are_seen(
    shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = start_parent_run(shop, RUN_KEY)
    whole, begun = fit_two_tower.TwoTowerTrainer.fit, []

    def killed(*given: object) -> object:
        begun.append(given)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return whole(*given)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(fit_two_tower.TwoTowerTrainer, "fit", killed)
        with pytest.raises(KeyboardInterrupt):
            train_candidate(shop, RUN_KEY, "frozen", parent, search_trials=6)
    assert (staging_folder(shop, RUN_KEY) / "search" / "frozen.db").exists()
    with monkeypatch.context() as patched:
        patched.setattr(fit_two_tower.TwoTowerTrainer, "fit", spoil_training(4, whole))
        candidate = train_candidate(shop, RUN_KEY, "frozen", parent, search_trials=6)
    trials = trials_of(candidate)
    states = [trial.data.tags["state"].partition(" at ")[0] for trial in trials]
    assert len(trials) == 7
    assert states.count("stopped from outside") == 1
    assert states.count("complete") >= 2
    assert states.count("pruned") >= 1
    assert states.count("complete") + states.count("pruned") == 6
    run = client(shop).get_run(candidate.run_id)
    best = max(
        (trial for trial in trials if trial.data.tags["state"] == "complete"),
        key=lambda trial: max(
            point.value for point in client(shop).get_metric_history(trial.info.run_id, "validation_ndcg_at_10")
        ),
    )
    for name, value in best.data.params.items():
        assert run.data.params[f"chosen.{name}"] == value
    assert run.data.params["chosen.dimension"] == "16", "what is set by hand is not searched"
    saved = load_recommender(candidate.folder)
    assert str(saved.facts["options"]["learning_rate"]) == best.data.params["learning_rate"]
    kept = {Path(file.path).name for file in client(shop).list_artifacts(candidate.run_id, "search")}
    assert {"trials.csv", "history.png", "epochs.png"} <= kept


def test_without_trials_nothing_is_searched(shop: Settings) -> None:
    candidate = train_candidate(shop, RUN_KEY, "frozen", start_parent_run(shop, RUN_KEY))
    assert trials_of(candidate) == []
    assert client(shop).list_artifacts(candidate.run_id, "search") == []
