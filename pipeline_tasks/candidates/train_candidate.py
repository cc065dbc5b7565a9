"""Trains one candidate of a night as an MLflow child run.

python -m pipeline_tasks.candidates.train_candidate --source simulated_shop --date 2026-11-20 \
    --candidate frozen --parent-run-id R
"""

import shutil
from pathlib import Path
from typing import get_args

import mlflow

from pipeline_tasks.candidates.candidate_training import TrainedCandidate, train, train_worker
from pipeline_tasks.candidates.fit_trial import Tune
from pipeline_tasks.config.settings import Settings, SplitStrategy, settings
from pipeline_tasks.config.training_settings import CandidateName, TrainingSettings
from pipeline_tasks.data.run_data import RunData, read_night
from pipeline_tasks.job_errors import job_errors
from pipeline_tasks.lake.atomic_write import write_atomically
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.source_lock import job_lock
from pipeline_tasks.registry.candidate_files import Candidate, candidate_path
from pipeline_tasks.registry.pyfunc_recommender import log_recommender
from pipeline_tasks.registry.registry import ARTIFACT
from pipeline_tasks.registry.tracking import candidate_run, log_snapshots
from pipeline_tasks.run_key import RunKey, parsed_run_key, run_key_parser
from pipeline_tasks.training.best_epoch import METRIC
from pipeline_tasks.training.training_processes import ALONE, Processes, joined_processes


def train_candidate(
    settings: Settings,
    night: RunKey,
    name: CandidateName,
    parent_run_id: str,
    epochs: int | None = None,
    search_trials: int | None = None,
    processes: Processes = ALONE,
) -> Candidate:
    """Train, log and describe one candidate; a later run of the same night replaces it."""
    lake = Lake.open(settings, night.source)
    data = read_night(lake, night)
    settings = _as_told(settings, epochs, search_trials)
    training = settings.training
    path = candidate_path(settings, night, name)
    folder, work = path.with_suffix(""), work_folder(settings, night, name)
    shutil.rmtree(folder / ARTIFACT, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    with candidate_run(settings, parent_run_id, name) as run:
        _log_inputs(lake, data, training)
        tune = _search(settings, night, name, data.split["strategy"], run)
        trained = train(data, name, training, work, _log_metrics, tune, processes, settings.scoring)
        trained.saved.facts.update(split_id=data.split["split_id"], ds=night.ds.isoformat(), run_id=run.info.run_id)
        uri = log_recommender(trained.saved, folder / ARTIFACT)
        _log_result(trained)
    candidate = Candidate(
        name=name,
        run_id=run.info.run_id,
        model_uri=uri,
        folder=folder / ARTIFACT,
        split_id=data.split["split_id"],
        parent_run_id=parent_run_id,
        best_epoch=trained.best_epoch,
        validation=trained.validation.overall,
        seconds=trained.seconds,
    )
    write_atomically(path, candidate.model_dump_json(indent=1))
    shutil.rmtree(work)
    return candidate


def _as_told(settings: Settings, epochs: int | None, search_trials: int | None) -> Settings:
    """Return the settings with what the night's form said of them."""
    said = {"epochs": epochs or None, "search_trials": search_trials}
    training = settings.training.model_copy(update={name: value for name, value in said.items() if value is not None})
    return settings.model_copy(update={"training": training})


def _search(
    settings: Settings, night: RunKey, name: CandidateName, strategy: SplitStrategy, run: mlflow.ActiveRun
) -> Tune:
    if not settings.training.search_trials:
        return lambda chosen, fit: chosen
    # Here, as a night without a search needs no Optuna: half a second.
    from pipeline_tasks.candidates.candidate_search import search_of

    return search_of(settings, night, name, strategy, run)


def join_training(
    settings: Settings, night: RunKey, name: CandidateName, epochs: int | None, processes: Processes
) -> None:
    """Do what every process but the first does of `train_candidate`: help with the training, and no more."""
    data = read_night(Lake.open(settings, night.source), night)
    training = _as_told(settings, epochs, None).training
    train_worker(data, training, work_folder(settings, night, name), processes)


def work_folder(settings: Settings, night: RunKey, name: str) -> Path:
    """Return where a training keeps what it needs to go on; it outlives an attempt that was killed."""
    return candidate_path(settings, night, name).with_suffix("") / "unfinished"


def _log_metrics(metrics: dict[str, float], step: int) -> None:
    mlflow.log_metrics(metrics, step=step)


def _log_inputs(lake: Lake, data: RunData, training: TrainingSettings) -> None:
    log_snapshots(lake, data.snapshots, "training")
    mlflow.log_params(training.model_dump(exclude={"candidates"}))
    mlflow.log_params({"split_id": data.split["split_id"], "strategy": data.split["strategy"]})
    mlflow.log_params({"items": len(data.catalog), "sequences": len(data.log), "events": len(data.log.items)})


def _log_result(trained: TrainedCandidate) -> None:
    best = {f"best_validation_{name.replace('@', '_at_')}": value for name, value in trained.validation.overall.items()}
    mlflow.log_metrics({**best, "best_epoch": trained.best_epoch, "training_seconds": trained.seconds})
    mlflow.log_params({f"chosen.{option}": value for option, value in trained.saved.facts["options"].items()})
    mlflow.set_tag("validation_task", trained.validation.task)
    if "stopped" in trained.saved.facts:
        mlflow.set_tag("training_stopped", trained.saved.facts["stopped"])


def main() -> None:
    """Run from the command line."""
    parser = run_key_parser(__doc__)
    parser.add_argument("--candidate", required=True, choices=get_args(CandidateName))
    parser.add_argument("--parent-run-id", required=True, help="MLflow run of the night")
    parser.add_argument("--epochs", type=int, help="instead of the setting training.epochs")
    parser.add_argument("--search-trials", type=int, help="instead of the setting training.search_trials")
    given = parser.parse_args()
    name, night = given.candidate, parsed_run_key(given)
    lock = job_lock(settings(), night.source, f"train_candidate {night.ds} {name}")
    with joined_processes() as processes, lock:
        if processes.rank:
            join_training(settings(), night, name, given.epochs, processes)
            return
        done = train_candidate(
            settings(), night, name, given.parent_run_id, given.epochs, given.search_trials, processes
        )
    print(
        f"{done.name}: validation {METRIC} {done.validation[METRIC]:.4f} of the lists as served, "
        f"at epoch {done.best_epoch}, {done.seconds:.0f} s"
    )


if __name__ == "__main__":
    with job_errors():
        main()
