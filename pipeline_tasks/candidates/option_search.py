"""Optuna's search for the options of stage 2: one study per candidate and run, kept in the staging folder.

The sampler (TPE, Bergstra et al. 2011) is seeded for every trial by the number of finished trials, so that a search
that was killed resumes with the same trials. A trial is pruned if its validation NDCG@10 is below the median of the
other trials at the same epoch.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import optuna
import torch
from optuna.trial import FrozenTrial, TrialState

from pipeline_tasks.candidates.search_tracking import SearchSpace, TrialRuns, space_around
from pipeline_tasks.candidates.stage_two import Fit, Tune
from pipeline_tasks.config.settings import Settings, SplitStrategy
from pipeline_tasks.config.training_settings import CandidateName, TrainingSettings
from pipeline_tasks.errors import TrainingError
from pipeline_tasks.lake.staging import staging_folder
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.training.best_epoch import EpochCallback
from pipeline_tasks.training.fit_options import FitOptions

WATCHED = "validation_ndcg_at_10"


_FREE_TRIALS = 2
"""Trials that must finish before any trial is pruned."""


_FREE_EPOCHS = 2
"""The first epoch at which a trial may be pruned; the result of the first epoch mostly reflects the model's width."""


_RANDOM_TRIALS = 5
"""Random trials before TPE uses the results; with Optuna's default of 10, a search of 10 trials would be random."""


@dataclass(frozen=True)
class SearchPlan:
    """The limits of a search, and its file."""

    trials: int
    minutes: float
    seed: int
    file: Path
    """SQLite, so that a process killed while it writes does not damage the file."""
    name: str
    """Name of the study; a search with the same name and file resumes it."""
    clock: Callable[[], float] = time.monotonic
    """Seconds."""


def search_options(space: SearchSpace, fit: Fit, plan: SearchPlan, runs: TrialRuns) -> FitOptions:
    """Return the best options found; those chosen from the log if no trial was completed."""
    end = plan.clock() + plan.minutes * 60
    study = open_study(plan)
    _close_interrupted_trials(study, runs)
    while (ended := len(_finished_trials(study))) < plan.trials and plan.clock() < end:
        study.sampler = optuna.samplers.TPESampler(
            seed=int(np.random.SeedSequence([plan.seed, ended]).generate_state(1)[0]), n_startup_trials=_RANDOM_TRIALS
        )
        if not ended and not study.get_trials(states=[TrialState.WAITING]):
            study.enqueue_trial(space.start)
        _try(study, space, fit, plan, end, runs)
    complete = study.get_trials(states=[TrialState.COMPLETE])
    runs.log_study(study)
    if not complete:
        print("the search completed no trial: the options chosen from the log are kept", flush=True)
        return space.chosen
    best = study.best_trial
    print(
        f"search: trial {best.number} of {len(study.trials)} is best with {best.value:.4f}: {best.params}", flush=True
    )
    return space.options(best.params)


def open_study(plan: SearchPlan) -> optuna.Study:
    """Open the study, or create it."""
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
class _EpochReporter:
    """Reports every epoch of a trial to Optuna, and ends the trial if it is pruned or the time is over."""

    trial: optuna.Trial
    log: EpochCallback
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
            value = fit(space.options(trial.params), _EpochReporter(trial, log, plan, end))
        except optuna.TrialPruned as pruned:
            study.tell(trial, state=TrialState.PRUNED)
            runs.close(trial, "KILLED", str(pruned))
        except (TrainingError, torch.cuda.OutOfMemoryError) as error:
            # The reason distinguishes it from a trial that was stopped from outside.
            trial.set_user_attr("reason", str(error))
            study.tell(trial, state=TrialState.FAIL)
            runs.close(trial, "FAILED", f"failed: {error}")
        else:
            study.tell(trial, value)
            runs.close(trial, "FINISHED", "complete")


def _finished_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that ended by themselves; a trial that was stopped from outside does not count."""
    return [
        trial
        for trial in study.trials
        if trial.state.is_finished() and (trial.state != TrialState.FAIL or "reason" in trial.user_attrs)
    ]


def _close_interrupted_trials(study: optuna.Study, runs: TrialRuns) -> None:
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)
    for trial in study.trials:
        runs.attach(trial, stopped=trial.state == TrialState.FAIL and "reason" not in trial.user_attrs)


def candidate_tuner(
    settings: Settings, run_key: RunKey, name: CandidateName, strategy: SplitStrategy, run: mlflow.ActiveRun
) -> Tune:
    """Return the function that tunes the candidate of the active `run`; a restart of the same run resumes the study."""
    training = settings.training
    tags = {key: run.data.tags[key] for key in ("source", "ds", "candidate")}

    def tune(chosen: FitOptions, fit: Fit) -> FitOptions:
        space = space_around(chosen, strategy, training)
        plan = SearchPlan(
            trials=training.search_trials,
            minutes=training.search_minutes,
            seed=training.seed,
            file=staging_folder(settings, run_key) / "search" / f"{name}.db",
            name=_study_name(run.data.tags["mlflow.parentRunId"], space, training),
        )
        return search_options(space, fit, plan, TrialRuns(run.info.run_id, tags))

    return tune


def _study_name(parent_run_id: str, space: SearchSpace, training: TrainingSettings) -> str:
    """Return a name that is unique for run, settings and search space: only such trials can be compared."""
    described = training.model_dump_json(exclude={"search_trials", "search_minutes"})
    return f"{parent_run_id} {hashlib.sha256(f'{described} {space}'.encode()).hexdigest()[:12]}"
