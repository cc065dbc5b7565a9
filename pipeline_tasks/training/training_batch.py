"""What one step of stage 2 learns from, and its parts: for small memory, and for several processes."""

from dataclasses import dataclass

import numpy as np

from pipeline_tasks.data.interactions import Floats, Integers
from pipeline_tasks.models.two_tower.training_windows import TargetDraw
from pipeline_tasks.training.prediction_points import LeadPredictionPoints, points_after_events
from pipeline_tasks.training.task_losses import TaskExamples


@dataclass(frozen=True)
class TrainingBatch:
    """Windows of histories, and the answers to those of their places that have some."""

    windows: Integers
    """(windows, length) event indices, -1 beyond the end."""
    place: Integers
    """(n,) index into the flattened states (windows, lead + length), by time bucket: positions of one bucket share the
    trends of the items."""
    events: Integers
    """(n,) of the log."""
    targets: Integers
    """(n, answers) items."""
    weights: Floats
    """(n, answers), 0 where there is none."""
    task_examples: tuple[TaskExamples, ...] = ()
    """What the heads are asked; their places are in the flattened windows."""
    queries: Integers | None = None
    """(n,) index of the query that was just typed, 0 for none; None where the model reads none."""
    lead: int = 0
    """States before those of a window's events."""

    def __len__(self) -> int:
        return len(self.place) + sum(len(task.place) for task in self.task_examples)

    def part(self, first: int, stop: int) -> "TrainingBatch":
        """Return the windows first <= number < stop with their answers, in the same order."""
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
        """Return the batch in parts of at most `positions` places each, or of one window."""
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
    """Draw answers to the windows' events; `buckets` (events of the log,) are of time.

    `led` is of a model with a lead: it is asked before first events and after queries too.
    """
    lead = int(lead_points is not None)
    moments = points_after_events(windows, targets, lead)
    if lead_points is not None:
        moments = moments.joined(lead_points.of(windows))
    moments = moments.ordered(np.argsort(buckets[moments.events], kind="stable"))
    items, weights = targets.draw_from(moments.starts, moments.rooms, answers, rng)
    some = np.flatnonzero(weights.sum(axis=1) > 0)
    chosen, queries = moments.ordered(some), moments.queries[some] if lead_points is not None else None
    return TrainingBatch(windows, chosen.place, chosen.events, items[some], weights[some], task_examples, queries, lead)
