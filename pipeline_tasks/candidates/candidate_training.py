"""Trains one candidate on the split of a run.

Stage 1 tunes the text encoder, where the candidate has that stage. Stage 2 trains the two-tower model. The best epoch
and the weights of the score's parts are chosen on the validation part.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from pipeline_tasks.candidates.encoded_catalog import encode_catalog
from pipeline_tasks.candidates.resumable_fit import fit_worker, resumable_fit
from pipeline_tasks.candidates.stage_two import StageTwo, Tune, stage_two_of, task_labels
from pipeline_tasks.candidates.validation_tasks import ValidationTasks, validation_tasks
from pipeline_tasks.config.recommendation_settings import ScoringSettings
from pipeline_tasks.config.training_settings import CandidateName, TrainingSettings
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.device import prepare_torch
from pipeline_tasks.evaluation.full_ranking import RankingResult, evaluate
from pipeline_tasks.models.two_tower.item_content import ContentEncoders
from pipeline_tasks.models.two_tower.new_items import choose_cold_start_boost
from pipeline_tasks.models.two_tower.saved_recommender import SavedRecommender
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.training.best_epoch import BestEpoch, EpochCallback
from pipeline_tasks.training.fit_options import FitOptions, read_options
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from pipeline_tasks.training.task_predictions import evaluate_heads
from pipeline_tasks.training.training_checkpoint import TrainingCheckpoint
from pipeline_tasks.training.training_processes import ALONE, Processes
from pipeline_tasks.training.tune_weights import (
    copy_weights,
    tune_blend_weight,
    tune_new_user_weights,
    tune_repeat_weight,
)

CHECKPOINT = "training.safetensors"
DEFAULT_SCORING: Final = ScoringSettings()


@dataclass(frozen=True)
class TrainedCandidate:
    """A candidate at its best epoch."""

    saved: SavedRecommender
    best_epoch: int
    validation: RankingResult
    """Result on the task `served` of `ValidationTasks`, which ranks the candidates."""
    seconds: float


def train(
    data: RunData,
    name: CandidateName,
    training: TrainingSettings,
    work: Path,
    on_metrics: EpochCallback,
    tune: Tune = lambda chosen, fit: chosen,
    processes: Processes = ALONE,
    scoring: ScoringSettings = DEFAULT_SCORING,
) -> TrainedCandidate:
    """Train on the train part, and choose the epoch on the validation part (tasks: docs/adr/0004).

    `work` holds what an interrupted training resumes from. Of several processes, the first runs this function.

    Raises:
        TrainingError: the log has nothing to learn from, validation has no users, or no epoch had a finite loss.
    """
    started, device = time.monotonic(), prepare_torch(training.threads)
    log, tasks = data.parts.known_before("validation"), validation_tasks(data, training.seed, scoring)
    encoded = encode_catalog(data, log, name, training, work=work, device=device, on_metrics=on_metrics)
    inputs = stage_two_of(data, log, encoded, training, device)
    options = tune(inputs.choose_options(tasks.discovery, training), partial(inputs.try_options, tasks.discovery))
    best = BestEpoch(tasks.discovery, on_metrics)
    stopped = _fit(inputs, options, best, name, work / CHECKPOINT, processes)
    recommender = _tune_weights(best.recommender(), tasks, training)
    _log_head_metrics(recommender, inputs, options, lambda figures: on_metrics(figures, best.epoch))
    facts = _facts(name, options, best.epoch, [encoded.stopped, stopped])
    encoders = ContentEncoders(training.encoder, encoded.adapter, inputs.content.vocabulary, training.image_encoder)
    saved = SavedRecommender(recommender, data.catalog, inputs.content.raw, encoders, facts)
    return TrainedCandidate(saved, best.epoch, evaluate(recommender, tasks.served), time.monotonic() - started)


def _fit(
    inputs: StageTwo, options: FitOptions, best: BestEpoch, name: CandidateName, checkpoint: Path, processes: Processes
) -> str | None:
    """Train in all processes, or resume from the checkpoint; return why the training stopped early, or None."""
    processes.broadcast((inputs.content.values, options, inputs.users))
    content = replace(inputs.content, raw=processes.broadcast_matrix(inputs.content.raw))
    inputs = replace(inputs, content=content)
    fingerprint = inputs.fingerprint(options, best.task, candidate=name, processes=processes.count)
    stopped = resumable_fit(inputs.trainer(options, processes), best, TrainingCheckpoint(checkpoint, fingerprint))
    print(f"epoch {best.epoch} is the best; tuning the weight of each part of the score", flush=True)
    return stopped


def _facts(name: CandidateName, options: FitOptions, epochs: int, stopped: Sequence[str | None]) -> dict[str, Any]:
    """Return the facts to save with the model; `stopped` is why each stage stopped early, None if it did not."""
    facts = {"candidate": name, "fitted_on": "train", "epochs": epochs, "options": asdict(options)}
    reasons = "; ".join(reason for reason in stopped if reason)
    return facts | ({"stopped": reasons} if reasons else {})


def train_worker(data: RunData, training: TrainingSettings, work: Path, processes: Processes) -> None:
    """Run the share of `train` of every process but the first: its part of every batch."""
    device = prepare_torch(training.threads)
    values, options, users = processes.broadcast()
    inputs = (processes.broadcast_matrix(None), options, device, values, task_labels(data, options), processes, users)
    fit_worker(TwoTowerTrainer(data.parts.known_before("validation"), *inputs), work / CHECKPOINT)


def refit(data: RunData, saved: SavedRecommender, training: TrainingSettings) -> SavedRecommender:
    """Fit the chosen candidate again on train and validation, for its best number of epochs, to be evaluated on test.

    The adapter of stage 1 is not fitted again; it was fitted on the train part.
    """
    device = prepare_torch(training.threads)
    epochs, options = int(saved.facts["epochs"]), read_options(saved.facts["options"])
    values = saved.encoders.vocabulary.numbers(data.catalog.values)
    log = data.parts.known_before("test")
    users = saved.with_queries_of(saved.recommender, log).users
    trainer = TwoTowerTrainer(log, saved.raw_texts, options, device, values, task_labels(data, options), users=users)

    def resume(epoch: int, loss: float) -> bool:
        print(f"fitted on train and validation: epoch {epoch} of {epochs}, loss {loss:.4f}", flush=True)
        return epoch < epochs

    recommender = copy_weights(trainer.fit(resume), saved.recommender)
    return replace(saved, recommender=recommender, facts=saved.facts | {"fitted_on": "train and validation"})


def _tune_weights(
    recommender: TwoTowerRecommender, tasks: ValidationTasks, training: TrainingSettings
) -> TwoTowerRecommender:
    """Return the recommender with the weight of each part of the score that is best on validation."""
    recommender, _ = tune_blend_weight(recommender, tasks.discovery)
    recommender = choose_cold_start_boost(recommender, tasks.discovery, training)
    recommender = tune_new_user_weights(recommender, tasks.new_users, tasks.discovery)
    if fitted := recommender.view_conversion:
        tuned = tune_repeat_weight(replace(recommender, view_conversion=None), fitted, tasks.discovery)
        recommender = replace(recommender, view_conversion=tuned)
    if fitted := recommender.repeat_model:
        tuned = tune_repeat_weight(replace(recommender, repeat_model=None), fitted, tasks.served)
        recommender = replace(recommender, repeat_model=tuned)
    return recommender


def _log_head_metrics(
    recommender: TwoTowerRecommender,
    inputs: StageTwo,
    options: FitOptions,
    on_metrics: Callable[[dict[str, float]], None],
) -> None:
    """Evaluate the task heads, if there are any, on the labels of the validation part, and log their metrics."""
    evaluated, labels = inputs.data.parts.known_before("test"), task_labels(inputs.data, options)
    figures = evaluate_heads(recommender, evaluated, inputs.log.data_extent.last_timestamp, labels)
    if figures:
        on_metrics({f"validation_{name}": value for name, value in figures.items()})
