"""Questions about an item at a moment: whether what is shown is clicked, and whether what is rated is liked.

What is known is the history before the moment, never what happened at it: an event of the same timestamp may be the
answer itself.
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
    """Items and moments with their answers, in order of the last event before each."""

    def __init__(
        self, log: Interactions, asked: Impressions | BinaryLabels, labels: Floats, told: Floats | None = None
    ) -> None:
        events = last_events(log, asked.rows, asked.times)
        kept = np.flatnonzero(events >= 0)
        order = kept[np.argsort(events[kept], kind="stable")]
        self.events, self.items, self.times = events[order], asked.items[order], asked.times[order]
        self.labels, self.leanings = labels[order], None if told is None else told[order]

    def sample(self, events: Integers, rng: np.random.Generator) -> LabelledExamples:
        """Ask at every moment that came after one of the events and, in its sequence, no later than the next."""
        starts, stops = (np.searchsorted(self.events, events, side=side) for side in ("left", "right"))
        counts = stops - starts
        places = np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        told = None if self.leanings is None else self.leanings[places]
        asked = (self.events[places], self.times[places], self.items[places], self.labels[places])
        return LabelledExamples(*asked, np.ones(len(places), np.float32), told)


class ClickSampler(ItemLabelSampler):
    """Whether an item that is shown is clicked (or looked at) by the same user within half an hour."""

    def __init__(self, log: Interactions, impressions: Impressions) -> None:
        shown = impressions.until(log.evidence.last_timestamp - SESSION_GAP)
        super().__init__(log, shown, clicked(log, shown))


class RatingSampler(ItemLabelSampler):
    """Whether an item that is rated is liked, as it could be asked just before: by whoever rates, not by anybody.

    Nothing is known of items that nobody rates: the answer is how much they would like it if they took it up.
    """

    def __init__(self, log: Interactions, opinions: BinaryLabels) -> None:
        known = opinions.until(log.evidence.last_timestamp)
        told = leanings(known, known.rows, known.items, known.times)
        super().__init__(log, known, known.liked.astype(np.float32), told)


def last_events(log: Interactions, rows: Integers, times: Integers) -> Integers:
    """Return (n,) the last event of the sequence `rows` before `times`, -1 where there is none."""
    both = np.concatenate([log.rows, rows]), np.concatenate([log.times, times])
    asked = np.arange(len(both[0])) >= len(log.times)
    # At equal times questions come first: the event is not before them.
    order = np.lexsort((~asked, both[1], both[0]))
    seen = np.cumsum(~asked[order]) - 1
    found = np.empty(len(order), np.int64)
    found[order] = seen
    last = found[len(log.times) :]
    return np.where((last >= log.offsets[rows]) & (last < log.offsets[rows + 1]), last, -1)


def clicked(log: Interactions, shown: Impressions) -> Floats:
    """Return (n,) 1 where a click or view of the item follows within half an hour, else 0."""
    looks = np.isin(log.types, [CHOSEN_TYPES.index(name) for name in ("click", "view")])
    width = int(max(log.items.max(initial=0), shown.items.max(initial=0))) + 1
    pairs = np.concatenate([log.rows[looks] * width + log.items[looks], shown.rows * width + shown.items])
    times = np.concatenate([log.times[looks], shown.times])
    asked = np.arange(len(pairs)) >= looks.sum()
    order = np.lexsort((~asked, times, pairs))
    # Backwards: the nearest look at or after each place.
    is_look = ~asked[order]
    place = np.where(is_look, np.arange(len(order)), len(order))
    nearest = np.minimum.accumulate(place[::-1])[::-1]
    inside = np.minimum(nearest, len(order) - 1)
    same = (nearest < len(order)) & (pairs[order][inside] == pairs[order])
    soon = same & (times[order][inside] - times[order] <= SESSION_GAP)
    labels = np.empty(len(order), np.float32)
    labels[order] = soon
    return labels[len(pairs) - len(shown.rows) :]
