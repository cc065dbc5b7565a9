"""The batch of one step of stage 2, which can be split into parts for small memory and for several processes."""

from dataclasses import dataclass

import numpy as np

from pipeline_tasks.data.interactions import Floats, Integers
from pipeline_tasks.models.two_tower.training_windows import TargetDraw
from pipeline_tasks.training.prediction_points import LeadPredictionPoints, points_after_events
from pipeline_tasks.training.task_losses import TaskExamples


@dataclass(frozen=True)
class TrainingBatch:
    """Windows of histories, and the targets of their prediction points."""

    windows: Integers
    """(windows, length) event indices, -1 beyond the end."""
    place: Integers
    """(n,) index into the flattened states (windows, lead + length), sorted by time bucket.

    Positions of one bucket share the popularity trends of the items.
    """
    events: Integers
    """(n,) index into the log."""
    targets: Integers
    """(n, answers) items."""
    weights: Floats
    """(n, answers) weight of each target, 0 for none."""
    task_examples: tuple[TaskExamples, ...] = ()
    """Examples of the task heads; their places are in the flattened windows."""
    queries: Integers | None = None
    """(n,) index of the query typed just before, 0 for none; None if the model does not read queries."""
    lead: int = 0
    """Number of states before those of a window's events."""

    def __len__(self) -> int:
        return len(self.place) + sum(len(task.place) for task in self.task_examples)

    def part(self, first: int, stop: int) -> "TrainingBatch":
        """Return the windows first <= number < stop with their targets, in the same order."""
        length = self.windows.shape[1]
        states = self.lead + length
        chosen = (self.place >= first * states) & (self.place < stop * states)
        place = self.place[chosen] - first * states
        return TrainingBatch(
            self.windows[first:stop],
            place,
            self.events[chosen],
            self.targets[chosen],
            self.weights[chosen],
            tuple(task.part(first * length, stop * length) for task in self.task_examples),
            None if self.queries is None else self.queries[chosen],
            self.lead,
        )

    def parts(self, positions: int) -> list["TrainingBatch"]:
        """Return the batch in parts of at most `positions` positions, but at least one window."""
        count = max(1, positions // self.windows.shape[1])
        return [self.part(first, first + count) for first in range(0, len(self.windows), count)]


def draw_batch(
    windows: Integers,
    buckets: Integers,
    targets: TargetDraw,
    answers: int,
    rng: np.random.Generator,
    task_examples: tuple[TaskExamples, ...] = (),
    lead_points: LeadPredictionPoints | None = None,
) -> TrainingBatch:
    """Return the windows with drawn targets for each of their prediction points.

    Args:
        buckets: (events of the log,) time bucket of each event.
        lead_points: the points before first events and after queries, for a model with a lead state.
    """
    lead = int(lead_points is not None)
    points = points_after_events(windows, targets, lead)
    if lead_points is not None:
        points = points.joined(lead_points.of(windows))
    points = points.ordered(np.argsort(buckets[points.events], kind="stable"))
    items, weights = targets.draw_from(points.starts, points.rooms, answers, rng)
    with_target = np.flatnonzero(weights.sum(axis=1) > 0)
    chosen, queries = points.ordered(with_target), points.queries[with_target] if lead_points is not None else None
    return TrainingBatch(
        windows, chosen.place, chosen.events, items[with_target], weights[with_target], task_examples, queries, lead
    )
