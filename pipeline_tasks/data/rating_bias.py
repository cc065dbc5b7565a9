"""Rating bias before a point in time, as log-odds: how often a user likes items, and how often an item is liked."""

from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline_tasks.data.interactions import Floats, Integers
from pipeline_tasks.data.ratings import BinaryLabels

_PSEUDO_COUNT: Final = 5.0
"""Pseudo-count that shrinks the rate of a user or an item towards the global rate. By the sum of both biases alone, the
AUC of MovieLens 100K's validation ratings is .761 with 1, .767 with 5, .768 with 10 and .767 with 20."""
Counts = tuple[Integers, Integers]
"""(k,) positive labels, and (k,) labels."""
Doubles = npt.NDArray[np.float64]


def leanings(labels: BinaryLabels, rows: Integers, items: Integers, times: Integers) -> Floats:
    """Return (k, 2): how far the log-odds of the user and of the item are from the global log-odds.

    A user or item without an earlier label gets 0. Labels at exactly the given time do not count, because one of them
    may be the label to predict.

    Args:
        labels: may hold later ones.
        rows, items, times: (k,) the examples: index of the sequence, index of the item, epoch microseconds.
    """
    one_group = np.zeros_like(labels.rows), np.zeros_like(rows)
    global_rate = _smoothed_rate(*_counts_before(labels, *one_group, times))
    groups = ((labels.rows, rows), (labels.items, items))
    biases = [_log_odds(*_counts_before(labels, *group, times), global_rate) for group in groups]
    return np.stack(biases, axis=1).astype(np.float32)


def _counts_before(labels: BinaryLabels, label_groups: Integers, groups: Integers, times: Integers) -> Counts:
    """Return for each of the k `groups` the counts of its labels before each of the k `times`.

    `label_groups` is the group of each label: its user or its item.
    """
    _, places = np.unique(np.concatenate([labels.times, times]), return_inverse=True)
    width, many = int(places.max(initial=0)) + 1, len(labels.times)
    codes = label_groups * width + places[:many]
    order = np.argsort(codes)
    positives = np.concatenate([[0], np.cumsum(labels.liked[order])])
    first = np.searchsorted(codes[order], groups * width)
    last = np.searchsorted(codes[order], groups * width + places[many:])
    return positives[last] - positives[first], last - first


def _smoothed_rate(positives: Integers, counts: Integers) -> Doubles:
    rate: Doubles = (positives + 1) / (counts + 2)
    return rate


def _log_odds(positives: Integers, counts: Integers, global_rate: Doubles) -> Doubles:
    rate = (positives + _PSEUDO_COUNT * global_rate) / (counts + _PSEUDO_COUNT)
    difference: Doubles = np.log(rate / (1 - rate)) - np.log(global_rate / (1 - global_rate))
    return difference
