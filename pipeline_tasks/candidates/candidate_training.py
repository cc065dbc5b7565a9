"""Trains one candidate on the split of a run.

Stage 1 tunes the text encoder, where the candidate has that stage. Stage 2 trains the two-tower model. The best epoch
and the weights of the score's parts are chosen on the validation part.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from pipeline_tasks.candidates.encoded_catalog import encode_catalog
from pipeline_tasks.candidates.resumable_fit import fit_worker, resumable_fit
from pipeline_tasks.candidates.search_tracking import Tune
from pipeline_tasks.candidates.served_task import served_task
from pipeline_tasks.config.recommendation_settings import ScoringSettings
from pipeline_tasks.config.training_settings import NEXT_ITEM, CandidateName, TrainingSettings
from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.data.task_labels import TaskLabels
from pipeline_tasks.device import prepare_torch
from pipeline_tasks.errors import TrainingError
from pipeline_tasks.evaluation.full_ranking import RankingResult, evaluate
from pipeline_tasks.evaluation.ranking_task import RankingTask, build_task, build_tasks, sample_task
from pipeline_tasks.models.task_heads.binary_task import binary_task
from pipeline_tasks.models.two_tower.item_content import Content, ContentEncoders, fit_content
from pipeline_tasks.models.two_tower.new_items import choose_cold_start_boost
from pipeline_tasks.models.two_tower.saved_recommender import SavedRecommender
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.models.two_tower.user_inputs import UserContent, fit_user_content
from pipeline_tasks.training.best_epoch import BestEpoch, EpochCallback
from pipeline_tasks.training.fit_options import FitOptions, read_options
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from pipeline_tasks.training.task_predictions import evaluate_heads
from pipeline_tasks.training.training_checkpoint import TrainingCheckpoint, digest, training_fingerprint
from pipeline_tasks.training.training_choices import choose_options
from pipeline_tasks.training.training_processes import ALONE, Processes
from pipeline_tasks.training.tune_item_to_item_weight import tune_item_to_item
from pipeline_tasks.training.tune_weights import (
    copy_weights,
    tune_blend_weight,
    tune_new_user_weights,
    tune_repeat_weight,
)

MAX_VALIDATION_USERS = 5_000
"""Maximum number of validation users that choices are made on; the standard error of NDCG@10 is then about .002."""
MAX_SCORES = 500_000_000
"""Maximum size of a score matrix (2 GB). Beyond 100,000 items it lowers the number of users, to 500 at a million."""
CHECKPOINT = "training.safetensors"
DEFAULT_SCORING: Final = ScoringSettings()


@dataclass(frozen=True)
class TrainedCandidate:
    """A candidate at its best epoch."""

    saved: SavedRecommender
    best_epoch: int
    validation: RankingResult
    """Result on the validation task of `_served_validation`, which ranks the candidates."""
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

    `work` holds what an interrupted training resumes from: text vectors, adapter of stage 1 and checkpoint. Of several
    processes, the first runs this function; the others run `train_worker`.

    Raises:
        TrainingError: the log has nothing to learn from, validation has no users, or no epoch had a finite loss.
    """
    started = time.monotonic()
    device = prepare_torch(training.threads)
    known = data.parts.known_before("validation")
    task, served = _validation(data, training), _served_validation(data, training, scoring)
    encoded = encode_catalog(data, known, name, training, work=work, device=device, on_metrics=on_metrics)
    texts, raw_queries = np.split(encoded.vectors, [len(data.catalog)])
    content = fit_content(data.catalog, np.unique(known.items), texts, training, device)
    users = fit_user_content(known, raw_queries, training.profile_attributes)

    def try_options(tried: FitOptions, on_epoch: EpochCallback) -> float:
        trial, trainer = BestEpoch(task, on_epoch), _trainer(data, known, content, tried, device, users)
        trainer.fit(lambda epoch, loss: trial.after(loss, trainer.recommender))
        return trial.ndcg

    options = tune(_options(data, task, content, training), try_options)
    processes.broadcast((content.values, options, users))
    best, raw = BestEpoch(task, on_metrics), processes.broadcast_matrix(content.raw)
    trainer = _trainer(data, known, replace(content, raw=raw), options, device, users, processes)
    run = {"candidate": name, "device": device, "processes": processes.count, "values": digest([content.values])}
    run |= {"task labels": digest(task_labels(data, options).arrays)}
    run |= {"queries": digest([users.queries.raw]), "profile": users.profile}
    input_digest = training_fingerprint(known, raw, options, task, **run)
    stopped = (encoded.stopped, resumable_fit(trainer, best, TrainingCheckpoint(work / CHECKPOINT, input_digest)))
    print(f"epoch {best.epoch} is the best; tuning the weight of each part of the score", flush=True)
    recommender = _tune_weights(best.recommender(), data, task, served, training)
    _log_head_metrics(recommender, data, known, options, lambda figures: on_metrics(figures, best.epoch))
    facts = {"candidate": name, "fitted_on": "train", "epochs": best.epoch, "options": asdict(options)}
    if any(stopped):
        facts["stopped"] = "; ".join(why for why in stopped if why)
    encoders = ContentEncoders(training.encoder, encoded.adapter, content.vocabulary, training.image_encoder)
    saved = SavedRecommender(recommender, data.catalog, content.raw, encoders, facts)
    return TrainedCandidate(saved, best.epoch, evaluate(recommender, served), time.monotonic() - started)


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
    known = data.parts.known_before("test")
    users = saved.knowing(saved.recommender, known).users
    trainer = TwoTowerTrainer(known, saved.raw_texts, options, device, values, task_labels(data, options), users=users)

    def resume(epoch: int, loss: float) -> bool:
        print(f"fitted on train and validation: epoch {epoch} of {epochs}, loss {loss:.4f}", flush=True)
        return epoch < epochs

    recommender = copy_weights(trainer.fit(resume), saved.recommender)
    return replace(saved, recommender=recommender, facts=saved.facts | {"fitted_on": "train and validation"})


def task_labels(data: RunData, options: FitOptions) -> TaskLabels:
    """Return the labels that the task heads learn from, beside the histories; only those of the options' tasks."""
    liked, needed = options.liked_rating, _needed_labels(options)
    impressions = data.impressions if "impressions" in needed else None
    ratings = data.ratings.binary_labels(liked) if "ratings" in needed and liked is not None else None
    return TaskLabels(impressions, ratings)


def _needed_labels(options: FitOptions) -> set[str]:
    return {part for task in options.task_weights.keys() - {NEXT_ITEM} for part in binary_task(task).reads}


def _trainer(
    data: RunData,
    known: Interactions,
    content: Content,
    options: FitOptions,
    device: str,
    users: UserContent,
    processes: Processes = ALONE,
) -> TwoTowerTrainer:
    labels = task_labels(data, options)
    return TwoTowerTrainer(known, content.raw, options, device, content.values, labels, processes, users)


def _options(data: RunData, task: RankingTask, content: Content, training: TrainingSettings) -> FitOptions:
    chosen = choose_options(task.known, data.split["strategy"], training, len(content.raw))
    options = tune_item_to_item(task, chosen)
    options = replace(options, content_blocks=content.widths, item_values=len(content.vocabulary))
    if "ratings" in _needed_labels(options) and options.liked_rating is None:
        liked = data.ratings.choose_liked_threshold(task.known.evidence.last_timestamp)
        options = replace(options, liked_rating=liked)
    print(f"options chosen from the log: {options}", flush=True)
    return options


def _tune_weights(
    recommender: TwoTowerRecommender,
    data: RunData,
    task: RankingTask,
    served: RankingTask,
    training: TrainingSettings,
) -> TwoTowerRecommender:
    """Return the recommender with the weight of each part of the score that is best on validation."""
    recommender, _ = tune_blend_weight(recommender, task)
    recommender = choose_cold_start_boost(recommender, task, training)
    newcomers = build_task(data.parts, "validation", "newcomers", len(data.catalog))
    newcomers = sample_task(newcomers, _max_users(data), training.seed)
    recommender = tune_new_user_weights(recommender, newcomers, task)
    if recommender.looked_at is not None:
        tuned = tune_repeat_weight(replace(recommender, looked_at=None), recommender.looked_at, task)
        recommender = replace(recommender, looked_at=tuned)
    if recommender.own is not None:
        tuned = tune_repeat_weight(replace(recommender, own=None), recommender.own, served)
        recommender = replace(recommender, own=tuned)
    return recommender


def _log_head_metrics(
    recommender: TwoTowerRecommender,
    data: RunData,
    known: Interactions,
    options: FitOptions,
    on_metrics: Callable[[dict[str, float]], None],
) -> None:
    """Evaluate the task heads, if there are any, on the labels of the validation part, and log their metrics."""
    evaluated = data.parts.known_before("test")
    figures = evaluate_heads(recommender, evaluated, known.evidence.last_timestamp, task_labels(data, options))
    if figures:
        on_metrics({f"validation_{name}": value for name, value in figures.items()})


def _max_users(data: RunData) -> int:
    return min(MAX_VALIDATION_USERS, max(1, MAX_SCORES // len(data.catalog)))


def _validation(data: RunData, training: TrainingSettings) -> RankingTask:
    task = build_task(data.parts, "validation", "discovery", len(data.catalog))
    if not len(task.histories):
        raise TrainingError(
            f"no user to choose a model on: in the validation part of {data.night.source} no user wanted an item "
            f"that was new to them (items in the catalog: {len(data.catalog)}): widen the window or land more days"
        )
    return sample_task(task, _max_users(data), training.seed)


def _served_validation(data: RunData, training: TrainingSettings, scoring: ScoringSettings) -> RankingTask:
    served = served_task(data, scoring, "validation")
    (task,) = build_tasks(data.parts, "validation", ("served",), len(data.catalog), taken=served.taken)
    if not len(task):
        raise TrainingError(
            f"no user to choose a model on: in the validation part of {data.night.source} the repeat policy excludes "
            f"every wanted item ({served.policy.describe()}): allow an event type in NIGHTSHELF_SCORING__REPEAT_POLICY"
        )
    return sample_task(task, _max_users(data), training.seed)
