"""Computes the gradient of one step of stage 2, in parts that fit the memory, for all members and processes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from pipeline_tasks.data.interactions import Floats, Integers, Interactions
from pipeline_tasks.data.popularity_features import PopularityFeatures, bucket_starts
from pipeline_tasks.errors import TrainingError
from pipeline_tasks.models.two_tower.catalog_loss import PopularityLevels
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.models.two_tower.user_inputs import UserInputs
from pipeline_tasks.training.task_losses import heads_loss
from pipeline_tasks.training.training_batch import SampledItems, TrainingBatch
from pipeline_tasks.training.training_optimizer import TrainingOptimizer
from pipeline_tasks.training.training_processes import Processes


class PopularityTable:
    """Holds (items, buckets, horizons) levels: 48 x 4 in bfloat16 take 384 bytes an item."""

    def __init__(
        self,
        log: Interactions,
        n_items: int,
        horizons: list[int],
        buckets: int,
        device: torch.device,
        kind: torch.dtype,
    ) -> None:
        starts = bucket_starts(log, buckets)
        self.buckets: Integers = np.searchsorted(starts, log.times, side="right") - 1
        """(events,) the time bucket of each event of the log."""
        trends = PopularityFeatures(log, n_items, horizons)
        self.levels = torch.empty((n_items, len(starts), len(horizons)), dtype=kind, device=device)
        for place, start in enumerate(starts.tolist()):
            self.levels[:, place] = torch.from_numpy(trends.at(start)).to(device, kind)

    def levels_of(self, items: Tensor | None) -> Tensor | None:
        """Return (items, buckets, horizons) of `items`, None for all items; None if there are no horizons."""
        if not self.levels.shape[2]:
            return None
        return self.levels if items is None else self.levels.index_select(0, items)

    def at(self, levels: Tensor | None, events: Integers) -> PopularityLevels | None:
        """Return the result of `levels_of` with the buckets of `events` (ascending)."""
        return None if levels is None else PopularityLevels(levels, torch.from_numpy(self.buckets[events]))


class StepTable(NamedTuple):
    """The item table of one step."""

    vectors: Tensor
    """(k, d)"""
    items: Integers | None
    """(k,) ascending; None for the whole catalog."""
    levels: Tensor | None
    """(k, buckets, h) popularity trends; None if there are none."""
    offsets: Tensor | None
    """(k,) added to the logits; None for the whole catalog."""

    def rows(self, items: Integers) -> Integers:
        """Return the rows of catalog items in the table."""
        return items if self.items is None else np.searchsorted(self.items, items)


@dataclass
class StepGradient:
    """Accumulates the gradient of a step, which has one batch for each member of the ensemble."""

    recommender: TwoTowerRecommender
    inputs: UserInputs
    trends: PopularityTable
    next_item: float
    """Loss weight of the next item, beside those of the task heads."""
    sample: SampledItems | None
    optimizer: TrainingOptimizer
    processes: Processes
    half: bool
    micro_batch: int
    """Positions of histories computed at a time."""

    def __post_init__(self) -> None:
        self.model = self.recommender.model
        self.device, self.kind = self.model.device, torch.bfloat16 if self.half else torch.float32

    def add(self, batches: Sequence[TrainingBatch], rng: np.random.Generator) -> float:
        """Add the gradient of every batch's mean loss to its member's weights; return the mean of the losses.

        Item vectors are computed once for all parts. Their gradients are summed over all parts and processes, and then
        propagated to the weights once.
        """
        items, offsets = self._items(batches, rng)
        chosen = None if items is None else self._tensor(items)
        described = [self.recommender.texts, self.recommender.values, self.recommender.rows]
        if chosen is not None:
            described = [part.index_select(0, chosen) for part in described]
        with self._half_precision():
            vectors = self.model.item_vectors(*described)
        table = StepTable(vectors.detach(), items, self.trends.levels_of(chosen), offsets)
        loss, vector_gradient = self._sum_parts(batches, table)
        self.processes.all_reduce_gradients(self.optimizer.parameters, [vector_gradient, loss])
        vectors.backward(vector_gradient)
        return float(loss.item()) / len(batches)

    def _items(
        self, batches: Sequence[TrainingBatch], rng: np.random.Generator
    ) -> tuple[Integers | None, Tensor | None]:
        """Return the items of the step in ascending order, and the offsets of their logits; None for all items."""
        if self.sample is None:
            return None, None
        log, needed = self.inputs.log, []
        for batch in batches:
            seen = log.items[batch.windows[batch.windows >= 0]]
            needed += [seen, batch.targets.ravel(), *(task.items[task.items >= 0] for task in batch.task_examples)]
        items, offsets = self.sample.draw(np.concatenate(needed), rng)
        return items, self._tensor(offsets)

    def _sum_parts(self, batches: Sequence[TrainingBatch], table: StepTable) -> tuple[Tensor, Tensor]:
        """Return the sum of the batches' mean losses, and its gradient with respect to the item vectors.

        If the GPU runs out of memory, the parts are halved for this and all later steps, and the step starts again.
        """
        while True:
            members = [part.clone().requires_grad_() for part in table.vectors.split(self.model.config.member_width, 1)]
            loss = torch.zeros((), device=self.device)
            try:
                for number, batch in enumerate(batches):
                    members[number].grad = torch.zeros_like(members[number])
                    loss += self._sum_batch(batch, number, table._replace(vectors=members[number]))
                return loss, torch.cat([one.grad for one in members if one.grad is not None], dim=1)
            except torch.OutOfMemoryError as error:
                longest = max(batch.windows.shape[1] for batch in batches)
                if longest > self.micro_batch // 2:
                    raise TrainingError(
                        f"the GPU is out of memory with {self.micro_batch} positions at a time, which is one history: "
                        "lower training.max_length or training.dimension, or set training.negatives"
                    ) from error
            # Outside the except block, as the traceback keeps the tensors that filled the memory alive.
            self.micro_batch = min(self.micro_batch, max(batch.windows.size for batch in batches)) // 2
            print(f"the GPU is out of memory: {self.micro_batch} positions at a time from here on", flush=True)
            self.optimizer.clear()
            torch.cuda.empty_cache()

    def _sum_batch(self, batch: TrainingBatch, member: int, table: StepTable) -> Tensor:
        """Return the contribution of this process's part of the batch to its mean loss, and accumulate the gradient."""
        share, total = self.processes.share_of(len(batch.windows)), float(batch.weights.sum())
        summed = torch.zeros((), device=self.device)
        for part in batch.part(share.start, share.stop).parts(self.micro_batch):
            if len(part):
                loss = self._loss(part, member, table, total)
                loss.backward()
                summed += loss.detach()
        return summed

    def _loss(self, batch: TrainingBatch, member: int, table: StepTable, total: float) -> Tensor:
        """Return the contribution of a part to the mean loss of its batch; `total` is the batch's sum of weights."""
        filled, rows = np.maximum(batch.windows, 0), self.inputs.rows_of(batch.windows)
        with self._half_precision():
            # The gradient of indexing, table[…], uses atomic additions, whose order differs between runs.
            vectors = embedding(self._tensor(table.rows(self.inputs.log.items[filled])), table.vectors)
            states = self.inputs.states(batch.windows, rows, vectors, member)
        head_losses = heads_loss(self.model, batch.task_examples, states[:, batch.lead :], table.vectors, table.rows)
        if not len(batch.place):
            return head_losses
        chosen = states.flatten(0, 1).index_select(0, self._tensor(batch.place))
        if batch.queries is not None:
            chosen = self.inputs.with_last_queries(chosen, batch.queries, member)
        # Each member has its own loss; with several members it is that of a dot product.
        users, items = self.model.member_vectors(chosen, table.vectors)
        popularity = self.trends.at(table.levels, batch.events)
        answers = self._tensor(table.rows(batch.targets)), self._tensor(batch.weights)
        summed: Tensor = self.model.matching.loss(
            users.to(self.kind), items.to(self.kind), *answers, popularity, table.offsets
        )
        return head_losses + self.next_item / total * summed

    def _half_precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)

    def _tensor(self, values: Integers | Floats) -> Tensor:
        return torch.from_numpy(values).to(self.device)
