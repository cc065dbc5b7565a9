"""Trains one candidate on a night's split: stage 1 where it has one, stage 2, and the choice of its epoch."""

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from pipeline_tasks.choose_linear import choose_linear
from pipeline_tasks.device import prepare_torch
from pipeline_tasks.fit_options import FitOptions
from pipeline_tasks.fit_trial import Tune
from pipeline_tasks.fit_two_tower import TwoTowerTrainer
from pipeline_tasks.full_ranking import RankingResult, evaluate
from pipeline_tasks.impressions import Impressions
from pipeline_tasks.interactions import Floats, Interactions
from pipeline_tasks.item_content import ContentEncoders, fit_content, text_block
from pipeline_tasks.linear_weight import choose_blend, choose_linear_weight
from pipeline_tasks.new_items import choose_new_item_level
from pipeline_tasks.night_data import NightData
from pipeline_tasks.own_weight import choose_own_weight
from pipeline_tasks.quick_ndcg import sample_task
from pipeline_tasks.ranking_task import RankingTask, build_task
from pipeline_tasks.saved_recommender import SavedRecommender
from pipeline_tasks.settings import CandidateName, TrainingSettings
from pipeline_tasks.task_predictions import judge_heads
from pipeline_tasks.text_encoder import load_encoder
from pipeline_tasks.training_choices import choose_options
from pipeline_tasks.two_tower_recommender import TwoTowerRecommender

METRIC = "ndcg@10"
JUDGES = 5_000
"""Shoppers of validation by whom choices are made: one standard error of NDCG@10 is then about .002."""
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
    data: NightData,
    name: CandidateName,
    training: TrainingSettings,
    work: Path,
    hear: Listener,
    tune: Tune = lambda chosen, fit: chosen,
) -> TrainedCandidate:
    """Train on train alone, choose the epoch on validation. `work` takes the adapter of stage 1."""
    started = time.monotonic()
    device = prepare_torch(training.threads)
    known = data.parts.known_before("validation")
    task = sample_task(build_task(data.parts, "validation", "discovery", len(data.catalog)), JUDGES, training.seed)
    texts, adapter = encode_catalog(data, known, name, training, work=work, device=device, hear=hear)
    content = fit_content(data.catalog, np.unique(known.items), texts, training, device)

    def try_options(tried: FitOptions, told: Listener) -> float:
        trial, trainer = _BestEpoch(task, told), TwoTowerTrainer(known, content.raw, tried, device, content.values)
        trainer.fit(lambda epoch, loss: trial.after(epoch, loss, trainer.recommender))
        return trial.ndcg

    options = choose_linear(task, choose_options(known, data.split["strategy"], training))
    options = replace(options, content_blocks=content.widths, item_values=len(content.vocabulary))
    print(f"chosen from the log: {options}", flush=True)
    options = tune(options, try_options)
    best = _BestEpoch(task, hear)
    trainer = TwoTowerTrainer(known, content.raw, options, device, content.values, shown(data, options))
    trainer.fit(lambda epoch, loss: best.after(epoch, loss, trainer.recommender))
    recommender = best.recommender()
    choose_blend(recommender, task)
    choose_new_item_level(recommender, task, training)
    if recommender.own is not None:
        again = build_task(data.parts, "validation", "repeats", len(data.catalog))
        choose_own_weight(recommender, sample_task(again, JUDGES, training.seed))
    _hear_heads(recommender, data, known, options, lambda figures: hear(figures, best.epoch))
    facts = {"candidate": name, "fitted_on": "train", "epochs": best.epoch, "options": asdict(options)}
    encoders = ContentEncoders(training.encoder, adapter, content.vocabulary, training.image_encoder)
    saved = SavedRecommender(recommender, data.catalog, content.raw, encoders, facts)
    return TrainedCandidate(saved, best.epoch, evaluate(recommender, task), time.monotonic() - started)


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
    values = saved.encoders.vocabulary.numbers(data.catalog.values)
    trainer = TwoTowerTrainer(
        data.parts.known_before("test"), saved.raw_texts, options, device, values, shown(data, options)
    )
    trainer.fit(lambda epoch, loss: epoch < epochs)
    fitted = trainer.recommender.model.config
    fitted.borrowed_ids, fitted.new_item_level = chosen.borrowed_ids, chosen.new_item_level
    own, weighed = trainer.recommender.own, saved.recommender.own
    if own is not None and weighed is not None:
        trainer.recommender.own = replace(own, scale=weighed.scale, offset=weighed.offset)
    facts = saved.facts | {"fitted_on": "train and validation"}
    return replace(saved, recommender=trainer.recommender, facts=facts)


def _hear_heads(
    recommender: TwoTowerRecommender,
    data: NightData,
    known: Interactions,
    options: FitOptions,
    hear: Callable[[dict[str, float]], None],
) -> None:
    """Measure the heads, where there are some, by what validation answers."""
    judged = data.parts.known_before("test")
    figures = judge_heads(recommender, judged, known.evidence.last_timestamp, shown(data, options))
    if figures:
        hear({f"validation_{name}": value for name, value in figures.items()})


def shown(data: NightData, options: FitOptions) -> Impressions | None:
    """Return what shoppers were shown, where a head learns from it."""
    return data.impressions if "click" in options.task_weights else None


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
    """Return the catalog's `text_block`, and the folder of what was tuned of the encoder."""
    encoder = load_encoder(training.encoder, device)
    # Without a single text there is nothing to tune, and a candidate of its own is the frozen one again.
    if name == "frozen" or not any(data.catalog.texts):
        return text_block(encoder, data.catalog.texts), None
    # Here, as it loads peft: two seconds that a frozen encoder can do without.
    from pipeline_tasks.adapt_encoder import AdaptOptions, adapt_encoder

    folder = work / "adapter"
    options = AdaptOptions(name, training.encoder_layers, steps=training.encoder_steps, seed=training.seed)
    tuned = adapt_encoder(
        encoder,
        known,
        data.catalog.texts,
        options,
        folder=folder,
        after_step=lambda step, loss: hear({"encoder_loss": loss}, step),
    )
    return text_block(tuned, data.catalog.texts), folder


class _BestEpoch:
    """Measures every epoch on validation and keeps the best; two epochs without a better one end the training."""

    def __init__(self, task: RankingTask, hear: Listener, patience: int = 2) -> None:
        self.task, self.hear, self.patience, self.epoch = task, hear, patience, 0
        self.ndcg = 0.0
        self.alone, self.alone_epoch = 0.0, 0
        self._kept: TwoTowerRecommender

    def after(self, epoch: int, loss: float, recommender: TwoTowerRecommender) -> bool:
        ndcg, alone = choose_linear_weight(recommender, self.task)
        weight = recommender.model.config.linear_weight
        figures = {"validation_ndcg_at_10": ndcg, "validation_towers_ndcg_at_10": alone, "linear_weight": weight}
        self.hear({"train_loss": loss, **figures}, epoch)
        print(f"epoch {epoch}: loss {loss:.4f}, validation {METRIC} {ndcg:.4f}, towers alone {alone:.4f}", flush=True)
        if self.epoch == 0 or ndcg > self.ndcg:
            self.epoch, self.ndcg = epoch, ndcg
            self._kept = replace(recommender, model=copy.deepcopy(recommender.model))
        # The towers learn on where the collaborative part still carries the sum: stopped by the sum, the simulated
        # shop ended after 3 epochs with .0871 in place of .1006 after 8.
        if alone > self.alone:
            self.alone_epoch, self.alone = epoch, alone
        return epoch - max(self.epoch, self.alone_epoch) < self.patience

    def recommender(self) -> TwoTowerRecommender:
        return self._kept
