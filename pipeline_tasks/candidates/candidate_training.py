"""Trains one candidate on a night's split: stage 1 where it has one, stage 2, and the choice of its epoch."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from pipeline_tasks.candidates.encoded_catalog import encode_catalog
from pipeline_tasks.candidates.fit_trial import Tune
from pipeline_tasks.candidates.resumable_fit import fit_along, resumable_fit
from pipeline_tasks.candidates.served_task import served_task
from pipeline_tasks.config.recommendation_settings import ScoringSettings
from pipeline_tasks.config.training_settings import CandidateName, TrainingSettings
from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.data.task_labels import TaskLabels
from pipeline_tasks.device import prepare_torch
from pipeline_tasks.evaluation.full_ranking import RankingResult, evaluate
from pipeline_tasks.evaluation.ranking_task import RankingTask, build_task, build_tasks
from pipeline_tasks.evaluation.sampled_users import sample_task
from pipeline_tasks.models.two_tower.item_content import Content, ContentEncoders, fit_content
from pipeline_tasks.models.two_tower.new_items import choose_cold_start_boost
from pipeline_tasks.models.two_tower.saved_recommender import SavedRecommender
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.models.two_tower.user_content import UserContent, fit_user_content
from pipeline_tasks.training.best_epoch import BestEpoch, Listener
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from pipeline_tasks.training.item_to_item_weight import tune_blend_weight
from pipeline_tasks.training.new_user_weights import choose_newcomers
from pipeline_tasks.training.task_predictions import judge_heads
from pipeline_tasks.training.training_checkpoint import TrainingCheckpoint
from pipeline_tasks.training.training_choices import choose_options
from pipeline_tasks.training.training_fingerprint import digest, training_fingerprint
from pipeline_tasks.training.training_processes import ALONE, Processes
from pipeline_tasks.training.tune_item_to_item_weight import tune_item_to_item
from pipeline_tasks.training.tune_repeat_weight import tune_repeat_weight, weigh_as
from pipeline_tasks.training_error import TrainingError

JUDGES = 5_000
"""Users of validation by whom choices are made: one standard error of NDCG@10 is then about .002."""
MOST_SCORES = 500_000_000
"""Scores that a choice holds at once, 2 GB a matrix: beyond 100,000 items fewer users judge, 500 at a million."""
CHECKPOINT = "training.safetensors"
NOTHING_SET: Final = ScoringSettings()


@dataclass(frozen=True)
class TrainedCandidate:
    """A candidate at its best epoch."""

    saved: SavedRecommender
    best_epoch: int
    validation: RankingResult
    """Of the task `served_validation`, by which candidates compete."""
    seconds: float


def train(
    data: RunData,
    name: CandidateName,
    training: TrainingSettings,
    work: Path,
    hear: Listener,
    tune: Tune = lambda chosen, fit: chosen,
    processes: Processes = ALONE,
    scoring: ScoringSettings = NOTHING_SET,
) -> TrainedCandidate:
    """Train on train alone, choose the epoch on validation; docs/adr/0004 says by which task of it.

    `work` takes what a training that is cut short goes on from: text vectors, adapter of stage 1, checkpoint. Among
    several processes this is what the first does; the others run `train_worker`.

    Raises:
        TrainingError: nothing to learn from, nobody to choose by, or no epoch whose losses were numbers.
    """
    started = time.monotonic()
    device = prepare_torch(training.threads)
    known = data.parts.known_before("validation")
    task, served = _validation(data, training), _served_validation(data, training, scoring)
    encoded = encode_catalog(data, known, name, training, work=work, device=device, hear=hear)
    texts, raw_queries = np.split(encoded.vectors, [len(data.catalog)])
    content = fit_content(data.catalog, np.unique(known.items), texts, training, device)
    users = fit_user_content(known, raw_queries, training.profile_attributes)

    def try_options(tried: FitOptions, told: Listener) -> float:
        trial, trainer = BestEpoch(task, told), _trainer(data, known, content, tried, device, users)
        trainer.fit(lambda epoch, loss: trial.after(loss, trainer.recommender))
        return trial.ndcg

    options = tune(_options(data, task, content, training), try_options)
    processes.tell((content.values, options, users))
    best, raw = BestEpoch(task, hear), processes.share(content.raw)
    trainer = _trainer(data, known, replace(content, raw=raw), options, device, users, processes)
    run = {"candidate": name, "device": device, "processes": processes.count, "values": digest([content.values])}
    run |= {"heads' questions": digest(task_labels(data, options).arrays)}
    run |= {"queries": digest([users.queries.raw]), "profile": users.profile}
    input_digest = training_fingerprint(known, raw, options, task, **run)
    stopped = (encoded.stopped, resumable_fit(trainer, best, TrainingCheckpoint(work / CHECKPOINT, input_digest)))
    recommender = best.recommender()
    print(f"epoch {best.epoch} is the best; choosing how much each part of the score counts", flush=True)
    _choose_weights(recommender, data, task, served, training)
    _hear_heads(recommender, data, known, options, lambda figures: hear(figures, best.epoch))
    facts = {"candidate": name, "fitted_on": "train", "epochs": best.epoch, "options": asdict(options)}
    if any(stopped):
        facts["stopped"] = "; ".join(why for why in stopped if why)
    encoders = ContentEncoders(training.encoder, encoded.adapter, content.vocabulary, training.image_encoder)
    saved = SavedRecommender(recommender, data.catalog, content.raw, encoders, facts)
    return TrainedCandidate(saved, best.epoch, evaluate(recommender, served), time.monotonic() - started)


def train_worker(data: RunData, training: TrainingSettings, work: Path, processes: Processes) -> None:
    """Do what every process but the first does of `train`: its part of every batch."""
    device = prepare_torch(training.threads)
    values, options, users = processes.tell()
    given = (processes.share(None), options, device, values, task_labels(data, options), processes, users)
    fit_along(TwoTowerTrainer(data.parts.known_before("validation"), *given), work / CHECKPOINT)


def refit(data: RunData, saved: SavedRecommender, training: TrainingSettings) -> SavedRecommender:
    """Fit the chosen candidate anew on train and validation, for as many epochs as were best: for the look at test.

    The adapter of stage 1 stays as it is: it saw train only.
    """
    device = prepare_torch(training.threads)
    epochs, chosen = int(saved.facts["epochs"]), saved.recommender.model.config
    options = replace(
        FitOptions(**saved.facts["options"]),
        linear_weight=chosen.linear_weight,
        trend_shift=tuple(chosen.trend_shift),
    )
    values = saved.encoders.vocabulary.numbers(data.catalog.values)
    known = data.parts.known_before("test")
    users = saved.knowing(saved.recommender, known).users
    trainer = TwoTowerTrainer(known, saved.raw_texts, options, device, values, task_labels(data, options), users=users)

    def resume(epoch: int, loss: float) -> bool:
        print(f"fitted on train and validation: epoch {epoch} of {epochs}, loss {loss:.4f}", flush=True)
        return epoch < epochs

    trainer.fit(resume)
    fitted = trainer.recommender.model.config
    fitted.borrowed_ids, fitted.new_item_level = chosen.borrowed_ids, chosen.new_item_level
    fitted.newcomer_trends, fitted.newcomer_share = chosen.newcomer_trends, chosen.newcomer_share
    fitted.newcomer_level = chosen.newcomer_level
    again, weighed = trainer.recommender, saved.recommender
    again.own = weigh_as(again.own, weighed.own)
    again.looked_at = weigh_as(again.looked_at, weighed.looked_at)
    facts = saved.facts | {"fitted_on": "train and validation"}
    return replace(saved, recommender=trainer.recommender, facts=facts)


def task_labels(data: RunData, options: FitOptions) -> TaskLabels:
    """Return what heads learn from beside histories; nothing is read that no head asks for."""
    tasks, liked = options.task_weights, options.liked_rating
    impressions = data.impressions if "click" in tasks else None
    opinions = data.ratings.opinions(liked) if "rating" in tasks and liked is not None else None
    return TaskLabels(impressions, opinions)


def _trainer(
    data: RunData,
    known: Interactions,
    content: Content,
    options: FitOptions,
    device: str,
    users: UserContent,
    processes: Processes = ALONE,
) -> TwoTowerTrainer:
    described = (content.values, task_labels(data, options))
    return TwoTowerTrainer(known, content.raw, options, device, *described, processes, users)


def _options(data: RunData, task: RankingTask, content: Content, training: TrainingSettings) -> FitOptions:
    chosen = choose_options(task.known, data.split["strategy"], training, len(content.raw))
    options = tune_item_to_item(task, chosen)
    options = replace(options, content_blocks=content.widths, item_values=len(content.vocabulary))
    options = replace(options, liked_rating=_liked_rating(data, task.known, training))
    print(f"chosen from the log: {options}", flush=True)
    return options


def _liked_rating(data: RunData, known: Interactions, training: TrainingSettings) -> float | None:
    """Return from which rating on an item is liked, None where no head asks or there are no ratings to choose by."""
    if "rating" not in training.task_weights or training.liked_rating is not None:
        return training.liked_rating
    return data.ratings.choose_liked(known.evidence.last_timestamp)


def _choose_weights(
    recommender: TwoTowerRecommender,
    data: RunData,
    task: RankingTask,
    served: RankingTask,
    training: TrainingSettings,
) -> None:
    """Choose on validation how much each part of the score counts."""
    tune_blend_weight(recommender, task)
    choose_cold_start_boost(recommender, task, training)
    newcomers = build_task(data.parts, "validation", "newcomers", len(data.catalog))
    choose_newcomers(recommender, sample_task(newcomers, _judges(data), training.seed), task)
    if recommender.looked_at is not None:
        recommender.looked_at = tune_repeat_weight(replace(recommender, looked_at=None), recommender.looked_at, task)
    if recommender.own is not None:
        recommender.own = tune_repeat_weight(replace(recommender, own=None), recommender.own, served)


def _hear_heads(
    recommender: TwoTowerRecommender,
    data: RunData,
    known: Interactions,
    options: FitOptions,
    hear: Callable[[dict[str, float]], None],
) -> None:
    """Measure the heads, where there are some, by what validation answers."""
    judged = data.parts.known_before("test")
    figures = judge_heads(recommender, judged, known.evidence.last_timestamp, task_labels(data, options))
    if figures:
        hear({f"validation_{name}": value for name, value in figures.items()})


def _judges(data: RunData) -> int:
    return min(JUDGES, max(1, MOST_SCORES // len(data.catalog)))


def _validation(data: RunData, training: TrainingSettings) -> RankingTask:
    task = build_task(data.parts, "validation", "discovery", len(data.catalog))
    if not len(task.histories):
        raise TrainingError(
            f"nobody to choose a model by: in the validation part of {data.night.source} no user wanted an item "
            f"that was new to them (items in the catalog: {len(data.catalog)}): widen the window or land more days"
        )
    return sample_task(task, _judges(data), training.seed)


def _served_validation(data: RunData, training: TrainingSettings, scoring: ScoringSettings) -> RankingTask:
    served = served_task(data, scoring, "validation")
    (task,) = build_tasks(data.parts, "validation", ("served",), len(data.catalog), taken=served.taken)
    if not len(task):
        raise TrainingError(
            f"nobody to choose a model by: in the validation part of {data.night.source} all that users wanted is "
            f"excluded ({served.policy.describe()}): allow an event type in NIGHTSHELF_SCORING__REPEAT_POLICY"
        )
    return sample_task(task, _judges(data), training.seed)
