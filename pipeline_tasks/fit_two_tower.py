"""Stage 2 of training: the sequence model over whitened item vectors, with full softmax."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding
from torch.nn.utils import clip_grad_norm_

from pipeline_tasks.catalog_loss import Crowd, catalog_loss
from pipeline_tasks.device import has_bfloat16
from pipeline_tasks.fit_own_history import fit_own_history
from pipeline_tasks.interactions import MODELLED_TYPES, Floats, Integers, Interactions
from pipeline_tasks.item_cooccurrence import id_factors
from pipeline_tasks.linear_factors import linear_factors
from pipeline_tasks.popularity_trends import PopularityTrends, bucket_moments, choose_horizons
from pipeline_tasks.training_error import TrainingError
from pipeline_tasks.training_windows import TargetDraw, cut_windows, gap_buckets
from pipeline_tasks.two_tower import TwoTower
from pipeline_tasks.two_tower_config import TwoTowerConfig
from pipeline_tasks.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.whitening import fit_whitening

TYPE_WEIGHTS = {"view": 0.5, "click": 0.5, "cart": 1.0, "purchase": 2.0, "rating": 1.0}


@dataclass(frozen=True)
class FitOptions:
    """What may be tuned; the defaults are those that ship."""

    epochs: int = 8
    dimension: int = 128
    text_dimension: int = 256
    layers: int = 2
    dropout: float = 0.2
    max_length: int = 50
    seed: int = 1
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    batch_positions: int = 2048
    answers: int = 4
    reach: int = 50
    repeat_weight: float = 0.0
    linear_rank: int = 128
    linear_weight: float = 0.0
    trend_shift: tuple[float, ...] = ()
    repeats: bool = False
    """Whether own items get a score of their own (see own_history)."""
    half: bool = True
    """Products in bfloat16 where the device has it: on AVX512-BF16 2 to 3 times as fast."""
    time_buckets: int = 48
    id_scale: float = 0.05
    text_scale: float = 0.02


class TwoTowerTrainer:
    """Holds a model and the log it learns from."""

    def __init__(self, log: Interactions, raw_texts: Floats, options: FitOptions, device: str = "cpu") -> None:
        if not len(log.items) or int(log.lengths.max()) < 2:
            raise TrainingError("no history of two events or more to train on: widen the window or land more days")
        broken = int((~np.isfinite(raw_texts).all(axis=1)).sum())
        if broken:
            raise TrainingError(
                f"text vectors of {broken} items are not finite: the text encoder or its tuning is broken"
            )
        self.log, self.options, self.device = log, options, torch.device(device)
        self.half = options.half and has_bfloat16(self.device)
        self.rng = np.random.default_rng(options.seed)
        torch.manual_seed(options.seed)
        self.recommender = _untrained(log, raw_texts, options, self.device)
        self.model = self.recommender.model
        weights = np.array([TYPE_WEIGHTS[name] for name in MODELLED_TYPES], dtype=np.float32)
        self.targets = TargetDraw(log, options.reach, weights, options.repeat_weight)
        self.gaps = gap_buckets(log, self.model.config.gap_buckets)
        moments = bucket_moments(log, options.time_buckets)
        self.buckets = np.searchsorted(moments, log.times, side="right") - 1
        trends = PopularityTrends(log, len(raw_texts), self.model.config.horizons)
        self.trends = torch.from_numpy(np.stack([trends.at(int(moment)) for moment in moments])).to(self.device)

    def fit(self, after_epoch: Callable[[int, float], bool] = lambda epoch, loss: True) -> TwoTowerRecommender:
        """Train for the epochs of the options, or until `after_epoch(epoch, loss)` returns False.

        Raises:
            TrainingError: the loss is not a number.
        """
        optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=self.options.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=self.options.weight_decay,
        )
        batches = list(self._batches())
        total = self.options.epochs * len(batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, total))
        for epoch in range(1, self.options.epochs + 1):
            batches = batches if epoch == 1 else list(self._batches())
            losses = []
            self.model.train()
            for number, windows in enumerate(batches):
                loss = self._loss(windows)
                if loss is None:
                    continue
                if not math.isfinite(loss.item()):
                    raise TrainingError(
                        f"loss is {loss.item()} in epoch {epoch}, batch {number} of {len(batches)}: lower the learning "
                        f"rate ({self.options.learning_rate}) or look for broken values in the item texts"
                    )
                optimizer.zero_grad()
                loss.backward()
                clip_grad_norm_(self.model.parameters(), 5.0)
                optimizer.step()
                schedule.step()
                losses.append(loss.item())
            if not after_epoch(epoch, float(np.mean(losses)) if losses else 0.0):
                break
        return self.recommender

    def _loss(self, windows: Integers) -> Tensor | None:
        """Return the mean loss of one batch of windows, None when nothing in it has an answer."""
        place = np.flatnonzero(windows.ravel() >= 0)
        events = windows.ravel()[place]
        # Positions of one time bucket together: they share the trends of the items.
        order = np.argsort(self.buckets[events], kind="stable")
        place, events = place[order], events[order]
        targets, weights = self.targets.draw(events, self.options.answers, self.rng)
        some = weights.sum(axis=1) > 0
        if not some.any():
            return None
        place, events, targets, weights = place[some], events[some], targets[some], weights[some]
        table = self.model.item_vectors(self.recommender.texts, self.recommender.rows)
        filled = np.maximum(windows, 0)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            states = self.model(
                # Not table[…]: its gradient is summed by atomic additions, whose order changes from run to run.
                embedding(self._tensor(self.log.items[filled]), table),
                self._tensor(self.log.types[filled]),
                self._tensor(self.gaps[filled]),
            )
        kind = torch.bfloat16 if self.half else torch.float32
        users = states.flatten(0, 1).index_select(0, self._tensor(place)).to(kind)
        crowd = Crowd(self.trends.to(kind), torch.from_numpy(self.buckets[events])) if self.trends.shape[2] else None
        total = catalog_loss(users, table.to(kind), self._tensor(targets), self._tensor(weights), crowd)
        mean: Tensor = total / float(weights.sum())
        return mean

    def _batches(self) -> Iterator[Integers]:
        windows = cut_windows(self.log, self.model.config.max_length, self.rng)
        windows = windows[self.rng.permutation(len(windows))]
        sizes = (windows >= 0).sum(axis=1)
        windows = windows[np.argsort(sizes, kind="stable")]
        sizes = np.sort(sizes)
        cuts, start = [], 0
        while start < len(windows):
            stop = start + 1
            while stop < len(windows) and (stop + 1 - start) * sizes[stop] <= self.options.batch_positions:
                stop += 1
            cuts.append((start, stop))
            start = stop
        for number in self.rng.permutation(len(cuts)):
            start, stop = cuts[number]
            yield windows[start:stop, : sizes[stop - 1]]

    def _tensor(self, values: Integers | Floats) -> Tensor:
        return torch.from_numpy(values).to(self.device)


def _untrained(log: Interactions, raw_texts: Floats, options: FitOptions, device: torch.device) -> TwoTowerRecommender:
    n_items = len(raw_texts)
    seen = np.unique(log.items)
    rows = np.full(n_items, -1, dtype=np.int64)
    rows[seen] = np.arange(len(seen))
    center, turn = fit_whitening(raw_texts[seen], min(options.text_dimension, raw_texts.shape[1]))
    config = TwoTowerConfig(
        known_items=len(seen),
        text_dimension=turn.shape[1],
        raw_text_dimension=raw_texts.shape[1],
        dimension=options.dimension,
        layers=options.layers,
        dropout=options.dropout,
        max_length=options.max_length,
        event_types=len(MODELLED_TYPES),
        horizons=tuple(choose_horizons(log)),
        linear_rank=min(options.linear_rank, len(seen)),
        linear_weight=options.linear_weight,
        trend_shift=options.trend_shift,
    )
    model = TwoTower(config)
    torch.nn.Module.to(model, device)
    with torch.no_grad():
        model.whitening_center.copy_(torch.from_numpy(center))
        model.whitening_map.copy_(torch.from_numpy(turn))
        inward, outward = linear_factors(log, n_items, config.linear_rank, options.seed)
        model.linear_in.copy_(torch.from_numpy(inward[seen]))
        model.linear_out.copy_(torch.from_numpy(outward[seen]))
        factors = id_factors(log, n_items, options.dimension, options.seed)[seen]
        model.item_ids.weight.copy_(torch.from_numpy(options.id_scale * factors))
        model.text_projection.weight.mul_(options.text_scale / 0.02 / math.sqrt(options.text_dimension))
    texts = model.whiten(torch.from_numpy(raw_texts).to(device))
    trends = np.zeros((n_items, len(config.horizons)), dtype=np.float32)
    own = fit_own_history(log, n_items, config.linear_rank, options.seed) if options.repeats else None
    known_rows = torch.from_numpy(rows).to(device)
    return TwoTowerRecommender("two_tower", model, texts, known_rows, trends, log.evidence, own).at(log)


def _rate(step: int, total: int, warm_up: int = 100) -> float:
    warm_up = min(warm_up, max(1, total // 10))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, total - warm_up)))
