"""Samples labelled examples about items: whether a shown item is clicked, and whether a rated item is liked.

An example may use the history before its prediction time. Events of that very timestamp are left out, because one of
them may be the label itself.
"""

import numpy as np

from pipeline_tasks.data.interactions import Floats, Integers, Interactions
from pipeline_tasks.data.rating_bias import leanings
from pipeline_tasks.data.ratings import BinaryLabels
from pipeline_tasks.data.task_labels import Impressions
from pipeline_tasks.tables.contracts import CHOSEN_TYPES
from pipeline_tasks.time_units import SESSION_GAP
from pipeline_tasks.training.label_sampler import LabelledExamples


class ItemLabelSampler:
    """Examples about items, sorted by the last event before each."""

    def __init__(
        self, log: Interactions, shown: Impressions | BinaryLabels, labels: Floats, bias: Floats | None = None
    ) -> None:
        events = last_events(log, shown.rows, shown.times)
        kept = np.flatnonzero(events >= 0)
        order = kept[np.argsort(events[kept], kind="stable")]
        self.events, self.items, self.times = events[order], shown.items[order], shown.times[order]
        self.labels, self.leanings = labels[order], None if bias is None else bias[order]

    def sample(self, events: Integers, rng: np.random.Generator) -> LabelledExamples:
        """Return all examples with one of `events` as their last event."""
        starts, stops = (np.searchsorted(self.events, events, side=side) for side in ("left", "right"))
        counts = stops - starts
        places = np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        bias = None if self.leanings is None else self.leanings[places]
        columns = (self.events[places], self.times[places], self.items[places], self.labels[places])
        return LabelledExamples(*columns, np.ones(len(places), np.float32), bias)


class ClickSampler(ItemLabelSampler):
    """Label: whether the user clicks or views a shown item within half an hour."""

    def __init__(self, log: Interactions, impressions: Impressions) -> None:
        shown = impressions.until(log.evidence.last_timestamp - SESSION_GAP)
        super().__init__(log, shown, clicked(log, shown))


class RatingSampler(ItemLabelSampler):
    """Label: whether a rated item is liked, predicted just before the rating: P(liked | the user rates the item)."""

    def __init__(self, log: Interactions, opinions: BinaryLabels) -> None:
        known = opinions.until(log.evidence.last_timestamp)
        bias = leanings(known, known.rows, known.items, known.times)
        super().__init__(log, known, known.liked.astype(np.float32), bias)


def last_events(log: Interactions, rows: Integers, times: Integers) -> Integers:
    """Return (n,) index of the last event of the sequences `rows` before `times`, -1 where there is none."""
    both = np.concatenate([log.rows, rows]), np.concatenate([log.times, times])
    is_example = np.arange(len(both[0])) >= len(log.times)
    # At equal times examples come first, because such an event is not before them.
    order = np.lexsort((~is_example, both[1], both[0]))
    seen = np.cumsum(~is_example[order]) - 1
    found = np.empty(len(order), np.int64)
    found[order] = seen
    last = found[len(log.times) :]
    return np.where((last >= log.offsets[rows]) & (last < log.offsets[rows + 1]), last, -1)


def clicked(log: Interactions, shown: Impressions) -> Floats:
    """Return (n,) 1 where a click or view of the shown item follows within half an hour, else 0."""
    views = np.isin(log.types, [CHOSEN_TYPES.index(name) for name in ("click", "view")])
    width = int(max(log.items.max(initial=0), shown.items.max(initial=0))) + 1
    pairs = np.concatenate([log.rows[views] * width + log.items[views], shown.rows * width + shown.items])
    times = np.concatenate([log.times[views], shown.times])
    is_example = np.arange(len(pairs)) >= views.sum()
    order = np.lexsort((~is_example, times, pairs))
    # A backward pass finds the nearest view at or after each place.
    is_view = ~is_example[order]
    place = np.where(is_view, np.arange(len(order)), len(order))
    nearest = np.minimum.accumulate(place[::-1])[::-1]
    inside = np.minimum(nearest, len(order) - 1)
    same = (nearest < len(order)) & (pairs[order][inside] == pairs[order])
    soon = same & (times[order][inside] - times[order] <= SESSION_GAP)
    labels = np.empty(len(order), np.float32)
    labels[order] = soon
    return labels[len(pairs) - len(shown.rows) :]
