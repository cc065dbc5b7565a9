"""The gradient of one step of stage 2, whole or in parts: for small memory, for several members and processes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from pipeline_tasks.data.interactions import Floats, Integers
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.models.two_tower.user_inputs import UserInputs
from pipeline_tasks.training.popularity_table import PopularityTable
from pipeline_tasks.training.sampled_items import SampledItems
from pipeline_tasks.training.step_table import StepTable
from pipeline_tasks.training.task_losses import heads_loss
from pipeline_tasks.training.training_batch import TrainingBatch
from pipeline_tasks.training.training_optimizer import TrainingOptimizer
from pipeline_tasks.training.training_processes import Processes
from pipeline_tasks.training_error import TrainingError


@dataclass
class StepGradient:
    """Adds what a step's batches, one for each member of the model, say of its weights."""

    recommender: TwoTowerRecommender
    inputs: UserInputs
    trends: PopularityTable
    next_item: float
    """How much the next item counts beside the heads."""
    sample: SampledItems | None
    optimizer: TrainingOptimizer
    processes: Processes
    half: bool
    micro_batch: int
    """Places of histories that are computed at a time."""

    def __post_init__(self) -> None:
        self.model = self.recommender.model
        self.device, self.kind = self.model.device, torch.bfloat16 if self.half else torch.float32

    def add(self, batches: Sequence[TrainingBatch], rng: np.random.Generator) -> float:
        """Add the gradient of every batch's mean loss to its member's weights, and return the mean of the losses.

        Item vectors are computed once, whatever the parts; what all parts of all processes ask of them is summed
        first, and passed on to their weights at once.
        """
        items, offsets = self._items(batches, rng)
        chosen = None if items is None else self._tensor(items)
        described = [self.recommender.texts, self.recommender.values, self.recommender.rows]
        if chosen is not None:
            described = [part.index_select(0, chosen) for part in described]
        with self._half_precision():
            vectors = self.model.item_vectors(*described)
        table = StepTable(vectors.detach(), items, self.trends.levels_of(chosen), offsets)
        loss, asked = self._sum_parts(batches, table)
        self.processes.all_reduce_gradients(self.optimizer.parameters, [asked, loss])
        vectors.backward(asked)
        return float(loss.item()) / len(batches)

    def _items(
        self, batches: Sequence[TrainingBatch], rng: np.random.Generator
    ) -> tuple[Integers | None, Tensor | None]:
        """Return the items that the step is computed with, in ascending order, and their offsets; None for all."""
        if self.sample is None:
            return None, None
        log, needed = self.inputs.log, []
        for batch in batches:
            seen = log.items[batch.windows[batch.windows >= 0]]
            needed += [seen, batch.targets.ravel(), *(task.items[task.items >= 0] for task in batch.task_examples)]
        items, offsets = self.sample.draw(np.concatenate(needed), rng)
        return items, self._tensor(offsets)

    def _sum_parts(self, batches: Sequence[TrainingBatch], table: StepTable) -> tuple[Tensor, Tensor]:
        """Return the sum of the batches' mean losses, and its gradient at the item vectors.

        On a GPU that is full, parts are halved and the step is begun again, for this step and all to come.
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
                        f"the GPU is out of memory with {self.micro_batch} places of histories at a time, which is one "
                        "history: lower training.max_length or training.dimension, or set training.negatives"
                    ) from error
            # Behind the exception, whose stack holds on to what filled the memory.
            self.micro_batch = min(self.micro_batch, max(batch.windows.size for batch in batches)) // 2
            print(f"the GPU is out of memory: {self.micro_batch} places at a time from here on", flush=True)
            self.optimizer.clear()
            torch.cuda.empty_cache()

    def _sum_batch(self, batch: TrainingBatch, member: int, table: StepTable) -> Tensor:
        """Return what this process's part of the batch adds to its mean loss, the gradient of which it leaves."""
        share, total = self.processes.share_of(len(batch.windows)), float(batch.weights.sum())
        summed = torch.zeros((), device=self.device)
        for part in batch.part(share.start, share.stop).parts(self.micro_batch):
            if len(part):
                loss = self._loss(part, member, table, total)
                loss.backward()
                summed += loss.detach()
        return summed

    def _loss(self, batch: TrainingBatch, member: int, table: StepTable, total: float) -> Tensor:
        """Return what a part of a batch, whose answers weigh `total` in all, adds to its mean loss."""
        filled, rows = np.maximum(batch.windows, 0), self.inputs.rows_of(batch.windows)
        with self._half_precision():
            # Not table[…]: its gradient is summed by atomic additions, whose order changes from run to run.
            vectors = embedding(self._tensor(table.rows(self.inputs.log.items[filled])), table.vectors)
            states = self.inputs.states(batch.windows, rows, vectors, member)
        asked = heads_loss(self.model, batch.task_examples, states[:, batch.lead :], table.vectors, table.rows)
        if not len(batch.place):
            return asked
        chosen = states.flatten(0, 1).index_select(0, self._tensor(batch.place))
        if batch.queries is not None:
            chosen = self.inputs.asking(chosen, batch.queries, member)
        # A member is matched by itself; where there are several, by a dot product.
        users, items = self.model.member_vectors(chosen, table.vectors)
        popularity = self.trends.at(table.levels, batch.events)
        answers = self._tensor(table.rows(batch.targets)), self._tensor(batch.weights)
        summed: Tensor = self.model.matching.loss(
            users.to(self.kind), items.to(self.kind), *answers, popularity, table.offsets
        )
        return asked + self.next_item / total * summed

    def _half_precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)

    def _tensor(self, values: Integers | Floats) -> Tensor:
        return torch.from_numpy(values).to(self.device)
