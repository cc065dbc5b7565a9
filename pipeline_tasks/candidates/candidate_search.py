"""The option search of one candidate: a study file in the staging folder, and trials as MLflow child runs."""

import hashlib

import mlflow

from pipeline_tasks.candidates.fit_trial import Fit, Tune
from pipeline_tasks.candidates.option_search import SearchPlan, search_options
from pipeline_tasks.candidates.search_space import SearchSpace, space_around
from pipeline_tasks.candidates.search_tracking import TrialRuns
from pipeline_tasks.config.settings import Settings, SplitStrategy
from pipeline_tasks.config.training_settings import CandidateName, TrainingSettings
from pipeline_tasks.lake.staging import staging_folder
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.training.fit_options import FitOptions


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
