"""Stage 2 of training: the sequence model over whitened item vectors, with full softmax."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from pipeline_tasks.build_two_tower import build_two_tower
from pipeline_tasks.catalog_loss import Crowd, catalog_loss
from pipeline_tasks.device import has_bfloat16
from pipeline_tasks.fit_options import TYPE_WEIGHTS, FitOptions
from pipeline_tasks.interactions import MODELLED_TYPES, Floats, Integers, Interactions
from pipeline_tasks.popularity_trends import PopularityTrends, bucket_moments
from pipeline_tasks.training_error import TrainingError
from pipeline_tasks.training_optimizer import TrainingOptimizer
from pipeline_tasks.training_windows import TargetDraw, batch_windows, cut_windows, gap_buckets
from pipeline_tasks.two_tower_recommender import TwoTowerRecommender


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
        torch.manual_seed(options.seed)
        self.recommender = build_two_tower(log, raw_texts, options, self.device)
        self.model = self.recommender.model
        self.optimizer, self.epoch = TrainingOptimizer(self.model, options), 0
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
            TrainingError: the loss or its gradient is not a number. The model is as before that batch.
        """
        while self.epoch < self.options.epochs:
            loss = self._train_epoch(self.epoch + 1)
            self.epoch += 1
            if not after_epoch(self.epoch, loss):
                break
        return self.recommender

    def state(self) -> tuple[dict[str, Tensor], dict[str, int]]:
        """Return weights and moments, and how far the training is: all that `restore` needs beside data and options."""
        moments, progress = self.optimizer.state()
        weights = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        return weights | {f"optimizer.{name}": value for name, value in moments.items()}, {
            **progress,
            "epoch": self.epoch,
        }

    def restore(self, tensors: dict[str, Tensor], progress: dict[str, int]) -> None:
        """Go on from what `state` gave; a trainer of the same data and options ends with the very same weights."""
        self.model.load_state_dict(tensors_of("model", tensors))
        self.optimizer.restore(tensors_of("optimizer", tensors), progress)
        self.epoch = progress["epoch"]

    def _train_epoch(self, epoch: int) -> float:
        """Return the mean loss of the epoch's batches."""
        # From seed and epoch alone: an epoch is the same whether or not this process has trained those before it.
        self.rng = np.random.default_rng([self.options.seed, epoch])
        torch.manual_seed(int(self.rng.integers(2**63)))
        batches, losses = self._batches(), []
        self.optimizer.planned = self.optimizer.planned or self.options.epochs * len(batches)
        self.model.train()
        for number, windows in enumerate(batches):
            loss = self._loss(windows)
            if loss is None:
                continue
            self.optimizer.clear()
            loss.backward()
            if not (math.isfinite(loss.item()) and self.optimizer.step()):
                raise TrainingError(
                    f"loss is {loss.item()}, or its gradient is not finite, in epoch {epoch}, batch {number} of "
                    f"{len(batches)}: lower the learning rate ({self.options.learning_rate}) or look for broken values "
                    "in the item texts"
                )
            losses.append(loss.item())
        return float(np.mean(losses)) if losses else 0.0

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

    def _batches(self) -> list[Integers]:
        windows = cut_windows(self.log, self.model.config.max_length, self.rng)
        return batch_windows(windows, self.options.batch_positions, self.rng)

    def _tensor(self, values: Integers | Floats) -> Tensor:
        return torch.from_numpy(values).to(self.device)


def tensors_of(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `part`, by the rest of their names."""
    start = f"{part}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
