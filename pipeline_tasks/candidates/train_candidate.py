"""Trains one candidate of a nightly run as an MLflow child run.

python -m pipeline_tasks.candidates.train_candidate --source simulated_shop --date 2026-11-20 \
    --candidate frozen --parent-run-id R
"""

import shutil
from pathlib import Path
from typing import get_args

import mlflow

from pipeline_tasks.candidates.candidate_training import TrainedCandidate, train, train_worker
from pipeline_tasks.candidates.stage_two import Tune
from pipeline_tasks.config.settings import Settings, SplitStrategy, settings
from pipeline_tasks.config.training_settings import CandidateName, TrainingSettings
from pipeline_tasks.data.run_data import RunData, read_run_data
from pipeline_tasks.errors import job_errors
from pipeline_tasks.lake.files import write_atomically
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.source_lock import job_lock
from pipeline_tasks.registry.candidate_files import Candidate, candidate_path
from pipeline_tasks.registry.descriptions import NOTE, candidate_note, metric_name, run_link
from pipeline_tasks.registry.registry import ARTIFACT
from pipeline_tasks.registry.tracking import candidate_run, log_snapshots
from pipeline_tasks.run_key import RunKey, parsed_run_key, run_key_parser
from pipeline_tasks.training.best_epoch import METRIC
from pipeline_tasks.training.training_processes import ALONE, Processes, join_processes


def train_candidate(
    settings: Settings,
    run_key: RunKey,
    name: CandidateName,
    parent_run_id: str,
    epochs: int | None = None,
    search_trials: int | None = None,
    processes: Processes = ALONE,
) -> Candidate:
    """Train and save one candidate, log its metrics, write its description; a repeated run of the day replaces it."""
    lake = Lake.open(settings, run_key.source)
    data = read_run_data(lake, run_key)
    settings = _with_form_values(settings, epochs, search_trials)
    training = settings.training
    path = candidate_path(settings, run_key, name)
    folder, work = path.with_suffix(""), work_folder(settings, run_key, name)
    shutil.rmtree(folder / ARTIFACT, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    with candidate_run(settings, parent_run_id, name) as run:
        _log_inputs(lake, data, training)
        tune = _search(settings, run_key, name, data.split["strategy"], run)
        trained = train(data, name, training, work, _log_metrics, tune, processes, settings.scoring)
        trained.saved.facts.update(split_id=data.split["split_id"], ds=run_key.ds.isoformat(), run_id=run.info.run_id)
        # The winner is logged as a model of MLflow by the evaluation, which reads candidates from this folder.
        trained.saved.save(folder / ARTIFACT)
        _log_result(trained)
        night = run_link(run.info.experiment_id, parent_run_id, f"nightly run of {run_key.ds}")
        note = candidate_note(name, trained.validation.overall, trained.best_epoch, trained.seconds, night)
        mlflow.set_tag(NOTE, note)
    candidate = Candidate(
        name=name,
        run_id=run.info.run_id,
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


def _with_form_values(settings: Settings, epochs: int | None, search_trials: int | None) -> Settings:
    """Return the settings with the values of the run's form; 0 epochs and None keep the setting."""
    form = {"epochs": epochs or None, "search_trials": search_trials}
    training = settings.training.model_copy(update={name: value for name, value in form.items() if value is not None})
    return settings.model_copy(update={"training": training})


def _search(
    settings: Settings, run_key: RunKey, name: CandidateName, strategy: SplitStrategy, run: mlflow.ActiveRun
) -> Tune:
    if not settings.training.search_trials:
        return lambda chosen, fit: chosen
    # Imported here because Optuna takes half a second, and a run without a search does not need it.
    from pipeline_tasks.candidates.option_search import candidate_tuner

    return candidate_tuner(settings, run_key, name, strategy, run)


def train_candidate_worker(
    settings: Settings, run_key: RunKey, name: CandidateName, epochs: int | None, processes: Processes
) -> None:
    """Run the share of `train_candidate` of every process but the first: the training, without logging or files."""
    data = read_run_data(Lake.open(settings, run_key.source), run_key)
    training = _with_form_values(settings, epochs, None).training
    train_worker(data, training, work_folder(settings, run_key, name), processes)


def work_folder(settings: Settings, run_key: RunKey, name: str) -> Path:
    """Return the folder of what an interrupted training resumes from; it survives an attempt that was killed."""
    return candidate_path(settings, run_key, name).with_suffix("") / "unfinished"


def _log_metrics(metrics: dict[str, float], step: int) -> None:
    mlflow.log_metrics(metrics, step=step)


def _log_inputs(lake: Lake, data: RunData, training: TrainingSettings) -> None:
    log_snapshots(lake, data.snapshots, "training")
    # Only what somebody set: every option with its value is logged as `chosen.<name>`.
    mlflow.log_params(training.model_dump(exclude={"candidates"}, exclude_defaults=True))
    mlflow.log_params({"split_id": data.split["split_id"], "strategy": data.split["strategy"]})
    mlflow.log_params({"items": len(data.catalog), "sequences": len(data.log), "events": len(data.log.items)})


def _log_result(trained: TrainedCandidate) -> None:
    best = {f"best_validation/{metric_name(name)}": value for name, value in trained.validation.overall.items()}
    mlflow.log_metrics({**best, "best_epoch": trained.best_epoch, "training_seconds": trained.seconds})
    mlflow.log_params({f"chosen.{option}": value for option, value in trained.saved.facts["options"].items()})
    mlflow.set_tag("validation_task", trained.validation.task)
    if "stopped" in trained.saved.facts:
        mlflow.set_tag("training_stopped", trained.saved.facts["stopped"])


def main() -> None:
    """Run from the command line."""
    parser = run_key_parser(__doc__)
    parser.add_argument("--candidate", required=True, choices=get_args(CandidateName))
    parser.add_argument("--parent-run-id", required=True, help="MLflow run of the nightly run")
    parser.add_argument("--epochs", type=int, help="instead of the setting training.epochs")
    parser.add_argument("--search-trials", type=int, help="instead of the setting training.search_trials")
    given = parser.parse_args()
    name, run_key = given.candidate, parsed_run_key(given)
    lock = job_lock(settings(), run_key.source, f"train_candidate {run_key.ds} {name}")
    with join_processes() as processes, lock:
        if processes.rank:
            train_candidate_worker(settings(), run_key, name, given.epochs, processes)
            return
        done = train_candidate(
            settings(), run_key, name, given.parent_run_id, given.epochs, given.search_trials, processes
        )
    print(
        f"{done.name}: validation {METRIC} {done.validation[METRIC]:.4f} of the lists as served, "
        f"at epoch {done.best_epoch}, {done.seconds:.0f} s"
    )


if __name__ == "__main__":
    with job_errors():
        main()
