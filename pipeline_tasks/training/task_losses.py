"""The loss of the task heads: a binary cross-entropy for each task, weighted by the task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from pipeline_tasks.config.training_settings import NEXT_ITEM
from pipeline_tasks.data.interactions import Floats, Integers, Interactions
from pipeline_tasks.data.task_labels import TaskLabels
from pipeline_tasks.errors import TrainingError
from pipeline_tasks.models.task_heads.binary_task import binary_task
from pipeline_tasks.models.two_tower.two_tower import TwoTower


@dataclass(frozen=True)
class TaskExamples:
    """The examples of one task in a batch."""

    task: str
    place: Integers
    """(k,) index into the flattened windows."""
    lags: Floats
    """(k,) microseconds from the event to the prediction time."""
    items: Integers
    """(k,) the item of the example, -1 for a task that is not about items."""
    labels: Floats
    """(k,) 1 or 0."""
    weights: Floats
    """(k,) weight of each example; the weights of a whole batch add up to the task's weight."""
    rating_bias: Floats | None = None
    """(k, 2) rating bias of the user and of the item; None for tasks that do not use it."""

    def part(self, first: int, stop: int) -> "TaskExamples":
        """Return the examples at first <= place < stop, with places counted from `first`."""
        kept = (self.place >= first) & (self.place < stop)
        place, lags, items = self.place[kept] - first, self.lags[kept], self.items[kept]
        bias = None if self.rating_bias is None else self.rating_bias[kept]
        return TaskExamples(self.task, place, lags, items, self.labels[kept], self.weights[kept], bias)


class TaskLosses:
    """Samples the examples of all tasks from the training log.

    Raises:
        TrainingError: the log lacks what a task needs, or all labels of a task are equal.
    """

    def __init__(self, log: Interactions, weights: Mapping[str, float], task_labels: TaskLabels, seed: int) -> None:
        self.log, self.weights = log, dict(weights)
        self.next_item = self.weights.pop(NEXT_ITEM)
        self.samplers = {task: binary_task(task).sampler(log, task_labels) for task in self.weights}
        self.begin(seed, 0)
        for task, sampler in self.samplers.items():
            labels = sampler.sample(np.arange(len(log.items)), np.random.default_rng(seed)).labels
            if not 0 < labels.sum() < len(labels):
                raise TrainingError(
                    f"task {task}: the log has {len(labels)} labelled examples, {int(labels.sum())} of them positive: "
                    f"both kinds are needed; widen the window, or leave the task out of training.task_weights"
                )

    def begin(self, seed: int, epoch: int) -> None:
        """Seed the draws of an epoch; they are separate from those of the next item, which heads must not change."""
        self.rng = np.random.default_rng((seed, epoch, 1))

    def sample(self, windows: Integers) -> tuple[TaskExamples, ...]:
        """Return the examples at the events of `windows` (batch, length), -1 beyond a history's end."""
        places = np.flatnonzero(windows.ravel() >= 0)
        order = np.argsort(windows.ravel()[places])
        places, events = places[order], windows.ravel()[places][order]
        drawn = []
        for task, sampler in self.samplers.items():
            found = sampler.sample(events, self.rng)
            if len(found.events):
                lags = (found.prediction_times - self.log.times[found.events]).astype(np.float32)
                shares = (self.weights[task] * found.weights / found.weights.sum()).astype(np.float32)
                where = places[np.searchsorted(events, found.events)]
                drawn.append(TaskExamples(task, where, lags, found.items, found.labels, shares, found.rating_bias))
        return tuple(drawn)


def heads_loss(
    model: TwoTower,
    examples: Sequence[TaskExamples],
    states: Tensor,
    vectors: Tensor,
    rows: Callable[[Integers], Integers],
) -> Tensor:
    """Return the weighted sum of the examples' binary cross-entropies; 0 without examples.

    Args:
        states: (batch, length, d + trends).
        vectors: (k, d) of items.
        rows: returns the rows in `vectors` of catalog items.
    """
    total = torch.zeros((), device=states.device)
    flat = states.flatten(0, 1)[:, : vectors.shape[1]]
    for one in examples:
        if not len(one.place):
            continue
        item_rows = np.zeros(len(one.items), dtype=np.int64)
        item_rows[one.items >= 0] = rows(one.items[one.items >= 0])
        odds = model.heads[one.task](
            flat.index_select(0, _on(one.place, flat)),
            _on(one.lags, flat),
            vectors.index_select(0, _on(item_rows, flat)),
            None if one.rating_bias is None else _on(one.rating_bias, flat),
        )
        each = binary_cross_entropy_with_logits(odds.float(), _on(one.labels, flat), reduction="none")
        total = total + (each * _on(one.weights, flat)).sum()
    return total


def _on(values: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(values).to(like.device)
