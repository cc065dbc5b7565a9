"""Optuna's search for the options of stage 2: a study per candidate and night's run, kept on disk, repeatable by seed.

The sampler (TPE, Bergstra et al. 2011) is seeded anew for every trial by how many have ended, so that a search that was
killed goes on as if it had not been. A trial whose validation NDCG@10 lies below the median of the others' at the same
epoch is pruned.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
import torch
from optuna.trial import FrozenTrial, TrialState

from pipeline_tasks.candidates.fit_trial import Fit
from pipeline_tasks.candidates.search_space import SearchSpace
from pipeline_tasks.candidates.search_tracking import TrialRuns
from pipeline_tasks.training.best_epoch import Listener
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training_error import TrainingError

WATCHED = "validation_ndcg_at_10"
_FREE_TRIALS = 2
"""Trials that end before any is pruned."""
_FREE_EPOCHS = 2
"""The first epoch at which a trial may be pruned: the first epoch of all says little but how wide the model is."""
_RANDOM_TRIALS = 5
"""Trials drawn at random before TPE models what was found: with its default of 10, a search of 10 is all chance."""


@dataclass(frozen=True)
class SearchPlan:
    """How far a search goes, and where it is kept."""

    trials: int
    minutes: float
    seed: int
    file: Path
    """SQLite: a process killed while it writes leaves the file whole."""
    name: str
    """Of the study: equal names go on with one another."""
    clock: Callable[[], float] = time.monotonic
    """Seconds."""


def search_options(space: SearchSpace, fit: Fit, plan: SearchPlan, runs: TrialRuns) -> FitOptions:
    """Return the best options found; the start's where no trial came to its end."""
    end = plan.clock() + plan.minutes * 60
    study = open_study(plan)
    _settle_what_was_stopped(study, runs)
    while (ended := len(_ended(study))) < plan.trials and plan.clock() < end:
        study.sampler = optuna.samplers.TPESampler(
            seed=int(np.random.SeedSequence([plan.seed, ended]).generate_state(1)[0]), n_startup_trials=_RANDOM_TRIALS
        )
        if not ended and not study.get_trials(states=[TrialState.WAITING]):
            study.enqueue_trial(space.start)
        _try(study, space, fit, plan, end, runs)
    complete = study.get_trials(states=[TrialState.COMPLETE])
    runs.tell(study)
    if not complete:
        print("no trial of the search came to its end: the options chosen from the log are kept", flush=True)
        return space.chosen
    best = study.best_trial
    print(
        f"search: trial {best.number} of {len(study.trials)} is best with {best.value:.4f}: {best.params}", flush=True
    )
    return space.options(best.params)


def open_study(plan: SearchPlan) -> optuna.Study:
    """Open the study, or begin it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    plan.file.parent.mkdir(parents=True, exist_ok=True)
    return optuna.create_study(
        storage=f"sqlite:///{plan.file}",
        study_name=plan.name,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_FREE_TRIALS, n_warmup_steps=_FREE_EPOCHS),
        load_if_exists=True,
    )


@dataclass(frozen=True)
class _Listener:
    """Hears of every epoch of a trial, and ends the trial where it should."""

    trial: optuna.Trial
    log: Listener
    plan: SearchPlan
    end: float

    def __call__(self, metrics: dict[str, float], epoch: int) -> None:
        self.log(metrics, epoch)
        self.trial.report(metrics[WATCHED], epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned(f"pruned at epoch {epoch}")
        if self.plan.clock() >= self.end:
            raise optuna.TrialPruned(f"ended by the limit of {self.plan.minutes:g} minutes at epoch {epoch}")


def _try(study: optuna.Study, space: SearchSpace, fit: Fit, plan: SearchPlan, end: float, runs: TrialRuns) -> None:
    trial = study.ask(space.distributions)
    with runs.open(trial) as log:
        try:
            value = fit(space.options(trial.params), _Listener(trial, log, plan, end))
        except optuna.TrialPruned as pruned:
            study.tell(trial, state=TrialState.PRUNED)
            runs.close(trial, "KILLED", str(pruned))
        except (TrainingError, torch.cuda.OutOfMemoryError) as error:
            # With its reason, which tells it from one that was stopped from outside.
            trial.set_user_attr("reason", str(error))
            study.tell(trial, state=TrialState.FAIL)
            runs.close(trial, "FAILED", f"failed: {error}")
        else:
            study.tell(trial, value)
            runs.close(trial, "FINISHED", "complete")


def _ended(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that ended by themselves; those stopped from outside are tried again."""
    return [
        trial
        for trial in study.trials
        if trial.state.is_finished() and (trial.state != TrialState.FAIL or "reason" in trial.user_attrs)
    ]


def _settle_what_was_stopped(study: optuna.Study, runs: TrialRuns) -> None:
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)
    for trial in study.trials:
        runs.adopt(trial, stopped=trial.state == TrialState.FAIL and "reason" not in trial.user_attrs)
