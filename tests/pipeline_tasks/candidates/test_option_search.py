"""A search over a scripted training: what is tried, pruned, repeated and resumed; MLflow and the study are real."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run
from optuna.distributions import CategoricalDistribution

from pipeline_tasks.candidates.option_search import SearchPlan, search_options
from pipeline_tasks.candidates.search_tracking import TrialRuns, space_around
from pipeline_tasks.candidates.stage_two import Fit
from pipeline_tasks.config.training_settings import TrainingSettings
from pipeline_tasks.errors import TrainingError
from pipeline_tasks.training.best_epoch import EpochCallback
from pipeline_tasks.training.fit_options import FitOptions

pytestmark = pytest.mark.training

CHOSEN = FitOptions(epochs=4, dimension=64, dropout=0.3)
SPACE = space_around(CHOSEN, "temporal", TrainingSettings())


@pytest.fixture(scope="module", autouse=True)
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    home = tmp_path_factory.mktemp("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{home}/mlflow.db")
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("search", artifact_location=f"file://{home}"))
    yield
    mlflow.set_tracking_uri("")


def plan_of(folder: Path, trials: int = 8, minutes: float = 10, seed: int = 1) -> SearchPlan:
    return SearchPlan(trials, minutes, seed, folder / "search" / "frozen.db", "one question")


def scripted(tried: list[FitOptions]) -> Fit:
    """The nearer the dropout to .15, the better, at every epoch."""

    def fit(options: FitOptions, on_metrics: EpochCallback) -> float:
        tried.append(options)
        best = 0.1 - abs(options.dropout - 0.15) / 10
        for epoch in range(1, options.epochs + 1):
            on_metrics({"validation_ndcg_at_10": best * epoch / options.epochs, "train_loss": 1.0}, epoch)
        return best

    return fit


def search(fit: Fit, plan: SearchPlan) -> tuple[FitOptions, list[Run]]:
    with mlflow.start_run() as candidate:
        found = search_options(SPACE, fit, plan, TrialRuns(candidate.info.run_id, {"source": "shop"}))
    return found, trials_below(candidate.info.run_id)


def trials_below(run_id: str) -> list[Run]:
    found = mlflow.search_runs(filter_string=f"tags.mlflow.parentRunId = '{run_id}'", output_format="list")
    return sorted(found, key=lambda run: int(run.data.tags["trial"]))


def test_the_first_trial_is_what_was_chosen_and_the_best_complete_one_wins(tmp_path: Path) -> None:
    tried: list[FitOptions] = []
    found, runs = search(scripted(tried), plan_of(tmp_path))
    assert tried[0] == CHOSEN
    assert len(tried) == len(runs) == 8
    complete = [run for run in runs if run.data.tags["state"] == "complete"]
    pruned = [run for run in runs if run.data.tags["state"].startswith("pruned at epoch ")]
    assert len(complete) + len(pruned) == 8
    assert pruned
    assert {run.info.status for run in complete} == {"FINISHED"}
    assert {run.info.status for run in pruned} == {"KILLED"}
    best = min((tried[int(run.data.tags["trial"])] for run in complete), key=lambda made: abs(made.dropout - 0.15))
    assert found == best != CHOSEN
    api = mlflow.MlflowClient()
    for run in pruned:
        stopped = int(run.data.tags["state"].rsplit(" ", 1)[1])
        assert len(api.get_metric_history(run.info.run_id, "validation_ndcg_at_10")) == stopped > 1
        assert float(run.data.params["dropout"]) == tried[int(run.data.tags["trial"])].dropout
    kept = {file.path for file in api.list_artifacts(runs[0].data.tags["mlflow.parentRunId"], "search")}
    assert {"search/trials.csv", "search/history.png", "search/epochs.png"} <= kept


def test_equal_seeds_try_the_same_and_other_seeds_do_not(tmp_path: Path) -> None:
    tried: list[list[FitOptions]] = [[], [], []]
    for number, seed in enumerate((1, 1, 2)):
        search(scripted(tried[number]), plan_of(tmp_path / str(number), trials=3, seed=seed))
    assert tried[0] == tried[1]
    assert tried[0][0] == tried[2][0]
    assert tried[0][1:] != tried[2][1:]


def test_a_killed_search_resumes_with_the_same_result(tmp_path: Path) -> None:
    whole: list[FitOptions] = []
    expected, _ = search(scripted(whole), plan_of(tmp_path / "whole", trials=6))
    parts: list[FitOptions] = []

    def killed_at(number: int) -> Fit:
        def fit(options: FitOptions, on_metrics: EpochCallback) -> float:
            if len(parts) == number:
                raise KeyboardInterrupt
            return scripted(parts)(options, on_metrics)

        return fit

    for number in (0, 3):
        with pytest.raises(KeyboardInterrupt):
            search(killed_at(number), plan_of(tmp_path / "parts", trials=6))
    found, runs = search(scripted(parts), plan_of(tmp_path / "parts", trials=6))
    assert parts == whole
    assert found == expected
    stopped = [run for run in runs if run.data.tags["state"] == "stopped from outside"]
    assert [run.info.status for run in stopped] == ["KILLED", "KILLED"]
    assert len(runs) == 6 + 2
    again, _ = search(scripted(parts), plan_of(tmp_path / "parts", trials=6))
    assert again == expected
    assert len(parts) == 6, "a search that is done tries nothing again"


def test_a_failed_trial_records_the_reason_and_the_search_continues(tmp_path: Path) -> None:
    def fit(options: FitOptions, on_metrics: EpochCallback) -> float:
        if options != CHOSEN:
            raise TrainingError("loss is nan in epoch 1, batch 2 of 3")
        return 0.1

    found, runs = search(fit, plan_of(tmp_path, trials=3))
    assert found == CHOSEN
    states = [run.data.tags["state"] for run in runs]
    assert states == ["complete", *["failed: loss is nan in epoch 1, batch 2 of 3"] * 2]
    assert [run.info.status for run in runs] == ["FINISHED", "FAILED", "FAILED"]


def test_the_time_limit_ends_the_running_trial_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    plan = replace(plan_of(tmp_path, minutes=2), clock=lambda: now)

    def slow(options: FitOptions, on_metrics: EpochCallback) -> float:
        nonlocal now
        for epoch in range(1, 5):
            now += 50
            on_metrics({"validation_ndcg_at_10": 0.1}, epoch)
        return 0.1

    found, runs = search(slow, plan)
    assert found == CHOSEN
    assert [run.data.tags["state"] for run in runs] == ["ended by the limit of 2 minutes at epoch 3"]
    assert "the options chosen from the log are kept" in capsys.readouterr().out


def test_options_that_are_set_are_not_searched_and_every_range_holds_the_start() -> None:
    given = TrainingSettings(dimension=32, epochs=3, dropout=0.1)
    names = set(space_around(CHOSEN, "leave_one_out", given).distributions)
    assert names == {"learning_rate", "weight_decay", "repeat_weight"}
    assert {"answers", "reach", "dimension"} <= set(SPACE.distributions)
    for name, values in SPACE.distributions.items():
        assert values._contains(values.to_internal_repr(SPACE.start[name])), name
    assert SPACE.options(SPACE.start) == CHOSEN


def test_every_width_that_is_tried_is_shared_by_all_heads_of_all_members() -> None:
    chosen = FitOptions(dimension=72, members=3)
    widths = space_around(chosen, "leave_one_out", TrainingSettings()).distributions["dimension"]
    assert isinstance(widths, CategoricalDistribution)
    assert widths.choices == (36, 72, 144)
    widths = space_around(replace(chosen, members=2), "leave_one_out", TrainingSettings()).distributions["dimension"]
    assert isinstance(widths, CategoricalDistribution)
    assert widths.choices == (40, 72, 144)
    widths = space_around(replace(chosen, dimension=24), "leave_one_out", TrainingSettings()).distributions["dimension"]
    assert isinstance(widths, CategoricalDistribution)
    assert widths.choices == (24, 48), "the least, 16, is none that three share"
