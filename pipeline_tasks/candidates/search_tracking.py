"""A search in MLflow: one run per trial under its candidate's, and the pictures of the whole."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import mlflow
import optuna
from matplotlib import pyplot
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, Trial, TrialState
from optuna.visualization import matplotlib as pictures

_RUN_ID = "run_id"
_LEAST_FOR_IMPORTANCE = 4
"""Complete trials before it says anything which option mattered."""


@dataclass(frozen=True)
class TrialRuns:
    """The trials' runs below the active run of their candidate. A pruned trial's status is KILLED, MLflow's nearest."""

    candidate_run_id: str
    tags: dict[str, str]

    @contextmanager
    def open(self, trial: Trial) -> Iterator[Callable[[dict[str, float], int], None]]:
        """Open the run of a trial, with its parameters; what happens inside logs there."""
        tags = self.tags | {"trial": str(trial.number), "state": "running"}
        name = f"trial {trial.number}"
        with mlflow.start_run(run_name=name, parent_run_id=self.candidate_run_id, nested=True, tags=tags) as run:
            trial.set_user_attr(_RUN_ID, run.info.run_id)
            mlflow.log_params(trial.params)
            yield _log_epoch

    def close(self, trial: Trial, status: str, state: str) -> None:
        """End the trial's run: complete, pruned at which epoch, or failed and why."""
        mlflow.set_tag("state", state[:5_000])
        mlflow.end_run(status)
        print(f"trial {trial.number}: {state}", flush=True)

    def adopt(self, trial: FrozenTrial, *, stopped: bool) -> None:
        """Hang an earlier trial's run below this candidate's: it was begun by a process that did not end it."""
        run_id = trial.user_attrs.get(_RUN_ID)
        if run_id is None:
            return
        api = mlflow.MlflowClient()
        api.set_tag(run_id, MLFLOW_PARENT_RUN_ID, self.candidate_run_id)
        if stopped:
            api.set_tag(run_id, "state", "stopped from outside")
            api.set_terminated(run_id, "KILLED")

    def tell(self, study: optuna.Study) -> None:
        """Log the table of trials and Optuna's pictures, under `search` of the candidate's run."""
        mlflow.log_text(study.trials_dataframe().to_csv(index=False), "search/trials.csv")
        complete = len(study.get_trials(states=[TrialState.COMPLETE]))
        if not complete:
            return
        drawn = {"history": pictures.plot_optimization_history, "epochs": pictures.plot_intermediate_values}
        if complete >= _LEAST_FOR_IMPORTANCE:
            drawn["importance"] = pictures.plot_param_importances
        with warnings.catch_warnings():
            # Of matplotlib as a backend, since 2021.
            warnings.simplefilter("ignore", ExperimentalWarning)
            for name, draw in drawn.items():
                mlflow.log_figure(draw(study).figure, f"search/{name}.png")
        pyplot.close("all")


def _log_epoch(metrics: dict[str, float], epoch: int) -> None:
    mlflow.log_metrics(metrics, step=epoch)
