"""The batch of one step of stage 2: points of histories, their targets and the sampled items.

The softmax's sum over the catalog is estimated in two strata. Items of the batch itself (histories and targets) have
weight 1. The rest is estimated from negatives that the whole batch shares, drawn by smoothed popularity Q. An item
drawn c times among m has weight c / (m Q), which is added to its logit as a logarithm (logQ correction: Bengio and
Senecal 2008; Yi et al. 2019). The estimated sum is therefore unbiased, and a target that is also drawn is not counted
twice. The logit of a target needs no correction, because the target is always included.

There is a point after every event. A model that reads profiles or queries has another before a user's first event, and
a model that reads queries one after each query.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import Floats, Integers, Interactions
from pipeline_tasks.models.two_tower.training_windows import TargetDraw
from pipeline_tasks.training.task_losses import TaskExamples

SMOOTHING: Final = 0.75
"""Power of an item's count (Mikolov et al. 2013); bestsellers are in most batches anyway."""


class SampledItems:
    """Samples the items of each step from a catalog of n items."""

    def __init__(self, log: Interactions, n_items: int, negatives: int) -> None:
        # Plus one, so that items without an event are negatives too, as in the full softmax.
        mass = (np.bincount(log.items, minlength=n_items) + 1.0) ** SMOOTHING
        self.negatives = negatives
        self.shares = mass / mass.sum()
        self.cumulated = np.cumsum(self.shares)

    def draw(self, needed: Integers, rng: np.random.Generator) -> tuple[Integers, Floats]:
        """Return (k,) items in ascending order, which include `needed`, and (k,) offsets to add to their logits.

        The cost is the number of negatives times log n.
        """
        drawn = np.searchsorted(self.cumulated, rng.random(self.negatives) * self.cumulated[-1], side="right")
        drawn, times = np.unique(drawn.clip(max=len(self.shares) - 1), return_counts=True)
        needed = np.unique(needed)
        rest = ~np.isin(drawn, needed, assume_unique=True)
        corrections = np.log(times[rest] / (self.negatives * self.shares[drawn[rest]]))
        items = np.concatenate([needed, drawn[rest]])
        order = np.argsort(items)
        offsets = np.concatenate([np.zeros(len(needed)), corrections])[order]
        return items[order].astype(np.int64), offsets.astype(np.float32)


@dataclass(frozen=True)
class PredictionPoints:
    """n prediction points in a batch of windows."""

    place: Integers
    """(n,) index into the flattened states (windows, lead + length)."""
    events: Integers
    """(n,) index of the event that gives the time."""
    starts: Integers
    """(n,) index of the first event that may be the target."""
    rooms: Integers
    """(n,) number of events from there on that may be the target."""
    queries: Integers
    """(n,) index of the query typed just before, 0 for none."""

    def ordered(self, order: Integers) -> "PredictionPoints":
        """Return the points at `order`, in that order."""
        return PredictionPoints(*(column[order] for column in self._columns))

    def joined(self, more: "PredictionPoints") -> "PredictionPoints":
        """Return these points followed by `more`."""
        both = zip(self._columns, more._columns, strict=True)
        return PredictionPoints(*(np.concatenate(columns) for columns in both))

    @property
    def _columns(self) -> tuple[Integers, ...]:
        return self.place, self.events, self.starts, self.rooms, self.queries


def points_after_events(windows: Integers, targets: TargetDraw, lead: int) -> PredictionPoints:
    """Return the points after the events of `windows` (batch, length); their targets are later events."""
    rows, columns = np.nonzero(windows >= 0)
    events = windows[rows, columns]
    place = rows * (windows.shape[1] + lead) + lead + columns
    return PredictionPoints(place, events, targets.start[events], targets.room[events], np.zeros_like(events))


class LeadPredictionPoints:
    """The points before first events and after queries, for windows with a lead state before their first event.

    The point of a query has the state before the first event that the query led to. Its targets are the events that
    the query led to.
    """

    def __init__(self, log: Interactions, targets: TargetDraw) -> None:
        size = len(log.items)
        self.first = np.zeros(size, dtype=np.bool_)
        self.first[log.offsets[:-1][log.lengths > 0]] = True
        led = np.zeros(size, dtype=np.int64) if log.queries is None else log.queries.led
        begins = self.first | (np.diff(led, prepend=0) != 0)
        ends = np.append(np.flatnonzero(begins)[1:], size)[np.cumsum(begins) - 1]
        basket = ~self.first & (np.diff(log.times, prepend=-1) == 0)
        self.query = np.where(begins & ~basket, led, 0)
        """(m,) index of the query typed right before the event, 0 for none; none within a basket, which has no order.
        """
        self.led_room = np.minimum(ends - np.arange(size), targets.reach)
        self.room = np.minimum(log.offsets[1:][log.rows] - np.arange(size), targets.reach)

    def of(self, windows: Integers) -> PredictionPoints:
        """Return the points of `windows` (batch, length) of event indices, -1 beyond a history's end."""
        rows, columns = np.nonzero(windows >= 0)
        events = windows[rows, columns]
        # A window that starts in the middle of a history has no state before its first event.
        seen = (columns > 0) | self.first[events]
        place = rows * (windows.shape[1] + 1) + columns
        first, has_query = self.first[events], seen & (self.query[events] > 0)
        none = np.zeros_like(events)
        at_start = PredictionPoints(place, events, events, self.room[events], none)
        after_query = PredictionPoints(place, events, events, self.led_room[events], self.query[events])
        return at_start.ordered(np.flatnonzero(first)).joined(after_query.ordered(np.flatnonzero(has_query)))


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
