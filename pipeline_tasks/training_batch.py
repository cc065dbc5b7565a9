"""What one step of stage 2 learns from, and its parts: for small memory, and for several processes."""

from dataclasses import dataclass

import numpy as np

from pipeline_tasks.interactions import Floats, Integers
from pipeline_tasks.task_losses import AskedTask
from pipeline_tasks.training_windows import TargetDraw


@dataclass(frozen=True)
class TrainingBatch:
    """Windows of histories, and the answers to those of their places that have some."""

    windows: Integers
    """(windows, length) event indices, -1 beyond the end."""
    place: Integers
    """(n,) index into the flattened windows, by time bucket: positions of one bucket share the trends of the items."""
    events: Integers
    """(n,) of the log."""
    targets: Integers
    """(n, answers) items."""
    weights: Floats
    """(n, answers), 0 where there is none."""
    asked: tuple[AskedTask, ...] = ()
    """What the heads are asked."""

    def __len__(self) -> int:
        return len(self.place) + sum(len(task.place) for task in self.asked)

    def part(self, first: int, stop: int) -> "TrainingBatch":
        """Return the windows first <= number < stop with their answers, in the same order."""
        length = self.windows.shape[1]
        chosen = (self.place >= first * length) & (self.place < stop * length)
        place = self.place[chosen] - first * length
        return TrainingBatch(
            self.windows[first:stop],
            place,
            self.events[chosen],
            self.targets[chosen],
            self.weights[chosen],
            tuple(task.part(first * length, stop * length) for task in self.asked),
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
    asked: tuple[AskedTask, ...] = (),
) -> TrainingBatch:
    """Draw answers to the windows' events; `buckets` (events of the log,) are of time."""
    place = np.flatnonzero(windows.ravel() >= 0)
    events = windows.ravel()[place]
    order = np.argsort(buckets[events], kind="stable")
    place, events = place[order], events[order]
    items, weights = targets.draw(events, answers, rng)
    some = weights.sum(axis=1) > 0
    return TrainingBatch(windows, place[some], events[some], items[some], weights[some], asked)
