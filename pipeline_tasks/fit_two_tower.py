"""Stage 2 of training: the sequence model over whitened item vectors, with full softmax."""

import math
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding
from torch.nn.utils import clip_grad_norm_

from pipeline_tasks.averaged_weights import AveragedWeights
from pipeline_tasks.build_two_tower import build_two_tower
from pipeline_tasks.catalog_loss import Crowd
from pipeline_tasks.device import has_bfloat16
from pipeline_tasks.fit_options import FitOptions
from pipeline_tasks.impressions import Impressions
from pipeline_tasks.interactions import MODELLED_TYPES, Floats, Integers, Interactions
from pipeline_tasks.learning_rate import rate_share
from pipeline_tasks.popularity_trends import PopularityTrends, bucket_moments
from pipeline_tasks.task_losses import TaskLosses
from pipeline_tasks.training_error import TrainingError
from pipeline_tasks.training_windows import TargetDraw, batch_windows, cut_windows, gap_buckets
from pipeline_tasks.two_tower_recommender import TwoTowerRecommender


class TwoTowerTrainer:
    """Holds a model and the log it learns from."""

    def __init__(
        self,
        log: Interactions,
        raw_texts: Floats,
        options: FitOptions,
        device: str = "cpu",
        values: Integers | None = None,
        impressions: Impressions | None = None,
    ) -> None:
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
        self.recommender = build_two_tower(log, raw_texts, options, self.device, values)
        self.model = self.recommender.model
        weights = np.array([options.event_weights[name] for name in MODELLED_TYPES], dtype=np.float32)
        if not weights[log.types].any():
            raise TrainingError(
                f"all events of the log are of types whose weight is 0 ({options.event_weights}): raise one of "
                f"training.event_weights"
            )
        self.targets = TargetDraw(log, options.reach, weights, options.repeat_weight)
        self.tasks = TaskLosses(log, options.task_weights, impressions, options.seed)
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
        batches = self._batches()
        total = self.options.epochs * len(batches)
        kind = self.options.schedule
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_share(kind, step, total))
        average = AveragedWeights(self.model) if self.options.averaged else None
        for epoch in range(1, self.options.epochs + 1):
            batches = batches if epoch == 1 else self._batches()
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
                if average is not None:
                    average.add()
                losses.append(loss.item())
            with average.applied() if average is not None else nullcontext():
                onward = after_epoch(epoch, float(np.mean(losses)) if losses else 0.0)
            if not onward:
                break
        if average is not None:
            average.swap()
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
        if not some.any() and not self.tasks.askers:
            return None
        place, events, targets, weights = place[some], events[some], targets[some], weights[some]
        ours, filled = self.recommender, np.maximum(windows, 0)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            table = self.model.item_vectors(ours.texts, ours.values, ours.rows)
            states = self.model(
                # Not table[…]: its gradient is summed by atomic additions, whose order changes from run to run.
                embedding(self._tensor(self.log.items[filled]), table),
                self._tensor(self.log.types[filled]),
                self._tensor(self.gaps[filled]),
            )
        kind = torch.bfloat16 if self.half else torch.float32
        users = self.model.user_vectors(states.flatten(0, 1).index_select(0, self._tensor(place))).to(kind)
        crowd = Crowd(self.trends.to(kind), torch.from_numpy(self.buckets[events])) if self.trends.shape[2] else None
        items = self.model.matching.items(table).to(kind)
        total = self.model.matching.loss(users, items, self._tensor(targets), self._tensor(weights), crowd)
        # A batch may hold nothing but what the heads are asked.
        mean: Tensor = self.tasks.next_item * total / max(float(weights.sum()), 1e-9)
        return mean + self.tasks.loss(self.model, windows, states, table)

    def _batches(self) -> list[Integers]:
        windows = cut_windows(self.log, self.model.config.max_length, self.rng, shortest=1 if self.tasks.askers else 2)
        return batch_windows(windows, self.options.batch_positions, self.rng)

    def _tensor(self, values: Integers | Floats) -> Tensor:
        return torch.from_numpy(values).to(self.device)
