"""The search space, values near the options chosen from the log, and the trials of a search as MLflow child runs."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import mlflow
import optuna
from matplotlib import pyplot
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, Trial, TrialState
from optuna.visualization import matplotlib as pictures

from pipeline_tasks.config.settings import SplitStrategy
from pipeline_tasks.config.training_settings import ATTENTION_HEADS, TrainingSettings
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.training_choices import given_options


@dataclass(frozen=True)
class SearchSpace:
    """The options that vary, with their start values."""

    chosen: FitOptions
    """The start values. They are also the first trial, so a search never ends below them on validation."""
    distributions: dict[str, BaseDistribution]
    """Name of an option -> its values, which include the start value."""

    @property
    def start(self) -> dict[str, Any]:
        """The start value of each option that varies."""
        return {name: getattr(self.chosen, name) for name in self.distributions}

    def options(self, values: dict[str, Any]) -> FitOptions:
        """Return the chosen options, with `values` replaced."""
        return replace(self.chosen, **values)


def space_around(chosen: FitOptions, strategy: SplitStrategy, training: TrainingSettings) -> SearchSpace:
    """Return the space around `chosen`: sizes from half to twice the value, shares by an equal distance either way.

    Options that `training` sets do not vary.
    """
    space: dict[str, BaseDistribution] = {
        "dimension": CategoricalDistribution(_near(chosen.dimension, least=16, step=ATTENTION_HEADS * chosen.members)),
        "dropout": FloatDistribution(max(0.0, chosen.dropout - 0.2), min(0.8, chosen.dropout + 0.2)),
        "epochs": IntDistribution(max(1, chosen.epochs // 2), chosen.epochs + chosen.epochs // 2),
        "learning_rate": FloatDistribution(chosen.learning_rate / 2, chosen.learning_rate * 2, log=True),
        "weight_decay": FloatDistribution(chosen.weight_decay / 10, chosen.weight_decay * 10, log=True),
        "repeat_weight": CategoricalDistribution(sorted({0.0, 0.3, 1.0, chosen.repeat_weight})),
    }
    # For leave_one_out, the training target follows from the task: the next item, or the rest of the basket.
    if strategy != "leave_one_out":
        space["answers"] = CategoricalDistribution(_near(chosen.answers, least=1))
        space["reach"] = CategoricalDistribution(_near(chosen.reach, least=1))
    given = given_options(training)
    return SearchSpace(chosen, {name: values for name, values in space.items() if name not in given})


def _near(size: int, least: int, step: int = 1) -> list[int]:
    """Return half of `size` (at least `least`, rounded up to a multiple of `step`), `size`, and twice `size`."""
    half = max(least, size // 2)
    return sorted({-(-half // step) * step, size, size * 2})


_RUN_ID = "run_id"


_LEAST_FOR_IMPORTANCE = 4
"""Completed trials below which a plot of the options' importance means nothing."""


@dataclass(frozen=True)
class TrialRuns:
    """The runs of the trials, below the active run of the candidate.

    A pruned trial has the status KILLED, because MLflow has no closer one.
    """

    candidate_run_id: str
    tags: dict[str, str]

    @contextmanager
    def open(self, trial: Trial) -> Iterator[Callable[[dict[str, float], int], None]]:
        """Open the run of a trial and log its parameters; yield the function that logs the metrics of an epoch."""
        tags = self.tags | {"trial": str(trial.number), "state": "running"}
        name = f"trial {trial.number}"
        with mlflow.start_run(run_name=name, parent_run_id=self.candidate_run_id, nested=True, tags=tags) as run:
            trial.set_user_attr(_RUN_ID, run.info.run_id)
            mlflow.log_params(trial.params)
            yield _log_epoch

    def close(self, trial: Trial, status: str, state: str) -> None:
        """End the trial's run; `state` says whether it completed, was pruned at an epoch, or failed for a reason."""
        mlflow.set_tag("state", state[:5_000])
        mlflow.end_run(status)
        print(f"trial {trial.number}: {state}", flush=True)

    def attach(self, trial: FrozenTrial, *, stopped: bool) -> None:
        """Move the run of an interrupted process's trial below this candidate's run; end it if it was `stopped`."""
        run_id = trial.user_attrs.get(_RUN_ID)
        if run_id is None:
            return
        api = mlflow.MlflowClient()
        api.set_tag(run_id, MLFLOW_PARENT_RUN_ID, self.candidate_run_id)
        if stopped:
            api.set_tag(run_id, "state", "stopped from outside")
            api.set_terminated(run_id, "KILLED")

    def log_study(self, study: optuna.Study) -> None:
        """Log the table of trials and Optuna's plots in the folder `search` of the candidate's run."""
        mlflow.log_text(study.trials_dataframe().to_csv(index=False), "search/trials.csv")
        complete = len(study.get_trials(states=[TrialState.COMPLETE]))
        if not complete:
            return
        drawn = {"history": pictures.plot_optimization_history, "epochs": pictures.plot_intermediate_values}
        if complete >= _LEAST_FOR_IMPORTANCE:
            drawn["importance"] = pictures.plot_param_importances
        with warnings.catch_warnings():
            # Optuna still marks its matplotlib backend as experimental.
            warnings.simplefilter("ignore", ExperimentalWarning)
            for name, draw in drawn.items():
                mlflow.log_figure(draw(study).figure, f"search/{name}.png")
        pyplot.close("all")


def _log_epoch(metrics: dict[str, float], epoch: int) -> None:
    mlflow.log_metrics(metrics, step=epoch)
