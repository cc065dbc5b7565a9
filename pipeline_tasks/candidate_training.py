"""Trains one candidate on a night's split: stage 1 where it has one, stage 2, and the choice of its epoch."""

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pipeline_tasks.best_epoch import BestEpoch, Listener
from pipeline_tasks.choose_linear import choose_linear
from pipeline_tasks.device import prepare_torch
from pipeline_tasks.encoded_catalog import encode_catalog
from pipeline_tasks.fit_options import FitOptions
from pipeline_tasks.fit_two_tower import TwoTowerTrainer
from pipeline_tasks.full_ranking import RankingResult, evaluate
from pipeline_tasks.linear_weight import choose_blend
from pipeline_tasks.night_data import NightData
from pipeline_tasks.own_weight import choose_own_weight
from pipeline_tasks.quick_ndcg import sample_task
from pipeline_tasks.ranking_task import RankingTask, build_task
from pipeline_tasks.resumable_fit import fit_along, resumable_fit
from pipeline_tasks.saved_recommender import SavedRecommender
from pipeline_tasks.settings import CandidateName, TrainingSettings
from pipeline_tasks.training_checkpoint import TrainingCheckpoint
from pipeline_tasks.training_choices import choose_options
from pipeline_tasks.training_fingerprint import training_fingerprint
from pipeline_tasks.training_processes import ALONE, Processes

JUDGES = 5_000
"""Shoppers of validation by whom choices are made: one standard error of NDCG@10 is then about .002."""
MOST_SCORES = 500_000_000
"""Scores that a choice holds at once, 2 GB a matrix: beyond 100,000 items fewer shoppers judge, 500 at a million."""
CHECKPOINT = "training.safetensors"


@dataclass(frozen=True)
class TrainedCandidate:
    """A candidate at its best epoch."""

    saved: SavedRecommender
    best_epoch: int
    validation: RankingResult
    seconds: float


def train(
    data: NightData,
    name: CandidateName,
    training: TrainingSettings,
    work: Path,
    hear: Listener,
    processes: Processes = ALONE,
) -> TrainedCandidate:
    """Train on train alone, choose the epoch on validation.

    `work` takes what a training that is cut short goes on from: text vectors, adapter of stage 1, checkpoint. Among
    several processes this is what the first does; the others run `train_along`.
    """
    started = time.monotonic()
    device = prepare_torch(training.threads)
    known = data.parts.known_before("validation")
    task = _validation(data, training)
    raw_texts, adapter = encode_catalog(data, known, name, training, work=work, device=device, hear=hear)
    raw_texts = processes.share(raw_texts)
    options = choose_linear(task, choose_options(known, data.split["strategy"], training))
    print(f"chosen from the log: {options}", flush=True)
    best = BestEpoch(task, hear)
    trainer = TwoTowerTrainer(known, raw_texts, options, device, processes)
    count = processes.count
    made_from = training_fingerprint(known, raw_texts, options, task, candidate=name, device=device, processes=count)
    stopped = resumable_fit(trainer, best, TrainingCheckpoint(work / CHECKPOINT, made_from))
    recommender = best.recommender()
    choose_blend(recommender, task)
    if recommender.own is not None:
        again = build_task(data.parts, "validation", "repeats", len(data.catalog))
        choose_own_weight(recommender, sample_task(again, _judges(data), training.seed))
    facts = {"candidate": name, "fitted_on": "train", "epochs": best.epoch, "options": asdict(options)}
    if stopped:
        facts["stopped"] = stopped
    saved = SavedRecommender(recommender, data.catalog, raw_texts, training.encoder, adapter, facts)
    return TrainedCandidate(saved, best.epoch, evaluate(recommender, task), time.monotonic() - started)


def train_along(data: NightData, training: TrainingSettings, work: Path, processes: Processes) -> None:
    """Do what every process but the first does of `train`: its part of every batch."""
    device = prepare_torch(training.threads)
    known, task = data.parts.known_before("validation"), _validation(data, training)
    raw_texts = processes.share(None)
    options = choose_linear(task, choose_options(known, data.split["strategy"], training))
    fit_along(TwoTowerTrainer(known, raw_texts, options, device, processes), work / CHECKPOINT)


def refit(data: NightData, saved: SavedRecommender, training: TrainingSettings) -> SavedRecommender:
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
    trainer = TwoTowerTrainer(data.parts.known_before("test"), saved.raw_texts, options, device)
    trainer.fit(lambda epoch, loss: epoch < epochs)
    own, weighed = trainer.recommender.own, saved.recommender.own
    if own is not None and weighed is not None:
        trainer.recommender.own = replace(own, scale=weighed.scale, offset=weighed.offset)
    facts = saved.facts | {"fitted_on": "train and validation"}
    return replace(saved, recommender=trainer.recommender, facts=facts)


def _judges(data: NightData) -> int:
    return min(JUDGES, max(1, MOST_SCORES // len(data.catalog)))


def _validation(data: NightData, training: TrainingSettings) -> RankingTask:
    task = build_task(data.parts, "validation", "discovery", len(data.catalog))
    return sample_task(task, _judges(data), training.seed)
