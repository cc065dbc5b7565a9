"""Trains one candidate on a night's split: stage 1 where it has one, stage 2, and the choice of its epoch."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pipeline_tasks.device import prepare_torch
from pipeline_tasks.fit_two_tower import FitOptions, TwoTowerTrainer
from pipeline_tasks.full_ranking import RankingResult
from pipeline_tasks.interactions import Floats, Interactions
from pipeline_tasks.linear_weight import choose_linear_weight
from pipeline_tasks.night_data import NightData
from pipeline_tasks.ranking_task import RankingTask, build_task
from pipeline_tasks.saved_recommender import SavedRecommender
from pipeline_tasks.settings import TrainingSettings
from pipeline_tasks.text_encoder import load_encoder
from pipeline_tasks.two_tower_recommender import TwoTowerRecommender

CandidateName = Literal["frozen", "lora"]
METRIC = "ndcg@10"
Listener = Callable[[dict[str, float], int], None]
"""Called with metrics and a step: MLflow's log_metrics, or nothing."""


@dataclass(frozen=True)
class TrainedCandidate:
    """A candidate at its best epoch."""

    saved: SavedRecommender
    best_epoch: int
    validation: RankingResult
    seconds: float


def train(
    data: NightData, name: CandidateName, training: TrainingSettings, work: Path, hear: Listener
) -> TrainedCandidate:
    """Train on train alone, choose the epoch on validation. `work` takes the adapter of stage 1."""
    started = time.monotonic()
    device = prepare_torch(training.threads)
    known = data.parts.known_before("validation")
    task = build_task(data.parts, "validation", "discovery", len(data.catalog))
    raw_texts, adapter = encode_catalog(data, known, name, training, work=work, device=device, hear=hear)
    options = fit_options(training)
    best = _BestEpoch(task, hear)
    trainer = TwoTowerTrainer(known, raw_texts, options, device)
    trainer.fit(lambda epoch, loss: best.after(epoch, loss, trainer.recommender))
    facts = {"candidate": name, "fitted_on": "train", "epochs": best.epoch, "seed": training.seed}
    saved = SavedRecommender(best.recommender(), data.catalog, raw_texts, training.encoder, adapter, facts)
    return TrainedCandidate(saved, best.epoch, best.result, time.monotonic() - started)


def refit(data: NightData, saved: SavedRecommender, training: TrainingSettings) -> SavedRecommender:
    """Fit the chosen candidate anew on train and validation, for as many epochs as were best: for the look at test.

    The adapter of stage 1 stays as it is: it saw train only.
    """
    device = prepare_torch(training.threads)
    epochs = int(saved.facts["epochs"])
    weight = saved.recommender.model.config.linear_weight
    options = replace(fit_options(training), linear_weight=weight)
    trainer = TwoTowerTrainer(data.parts.known_before("test"), saved.raw_texts, options, device)
    trainer.fit(lambda epoch, loss: epoch < epochs)
    facts = saved.facts | {"fitted_on": "train and validation"}
    return replace(saved, recommender=trainer.recommender, facts=facts)


def fit_options(training: TrainingSettings) -> FitOptions:
    """Return the options of stage 2 that the settings name."""
    return FitOptions(
        epochs=training.epochs, dimension=training.dimension, max_length=training.max_length, seed=training.seed
    )


def encode_catalog(
    data: NightData,
    known: Interactions,
    name: CandidateName,
    training: TrainingSettings,
    *,
    work: Path,
    device: str,
    hear: Listener,
) -> tuple[Floats, Path | None]:
    """Return (items, width) text vectors of the catalog, and the adapter's folder where the encoder was tuned."""
    encoder = load_encoder(training.encoder, device)
    if name == "frozen":
        return encoder.encode(data.catalog.texts), None
    # Here, as it loads peft: two seconds that a frozen encoder can do without.
    from pipeline_tasks.adapt_encoder import AdaptOptions, adapt_encoder

    folder = work / "adapter"
    options = AdaptOptions(steps=training.encoder_steps, seed=training.seed)
    tuned = adapt_encoder(
        encoder,
        known,
        data.catalog.texts,
        options,
        folder=folder,
        after_step=lambda step, loss: hear({"encoder_loss": loss}, step),
    )
    return tuned.encode(data.catalog.texts), folder


class _BestEpoch:
    """Measures every epoch on validation and keeps the best; two epochs without a better one end the training."""

    def __init__(self, task: RankingTask, hear: Listener, patience: int = 2) -> None:
        self.task, self.hear, self.patience, self.epoch = task, hear, patience, 0
        self.result: RankingResult
        self._kept: TwoTowerRecommender

    def after(self, epoch: int, loss: float, recommender: TwoTowerRecommender) -> bool:
        result = choose_linear_weight(recommender, self.task, METRIC)
        figures = {f"validation_{name.replace('@', '_at_')}": value for name, value in result.overall.items()}
        self.hear({"train_loss": loss, **figures, "linear_weight": recommender.model.config.linear_weight}, epoch)
        print(f"epoch {epoch}: loss {loss:.4f}, validation {METRIC} {result.overall[METRIC]:.4f}", flush=True)
        if self.epoch == 0 or result.overall[METRIC] > self.result.overall[METRIC]:
            self.epoch, self.result = epoch, result
            self._kept = replace(recommender, model=copy.deepcopy(recommender.model))
        return epoch - self.epoch < self.patience

    def recommender(self) -> TwoTowerRecommender:
        return self._kept
