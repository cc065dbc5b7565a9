"""Segments of users within a task, so that a mean over everybody hides nobody."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.data.profile_values import fit_profile_values
from pipeline_tasks.time_units import DAY

Labels = npt.NDArray[np.str_]
UNKNOWN: Final = "unknown"
MOST_SEGMENTS: Final = 12
"""Values of an attribute: more would be bars that nobody compares."""
_LENGTHS: Final = ((0, "0 none"), (1, "1"), (2, "2 to 4"), (5, "5 to 9"), (10, "10 to 24"), (25, "25 and more"))
_SILENT_DAYS: Final = ((0, "last 7 days"), (7, "last 30 days"), (30, "earlier"))


def history_bands(histories: Interactions) -> Labels:
    """Return (n,) how many events each user's history has, in bands."""
    return _bands(histories.lengths, _LENGTHS)


def activity_bands(histories: Interactions, now: int) -> Labels:
    """Return (n,) when each user was last seen before `now` (epoch microseconds), in bands."""
    last = np.full(len(histories), -1, dtype=np.int64)
    some = histories.lengths > 0
    last[some] = histories.times[histories.offsets[1:][some] - 1]
    labels = _bands((now - last) // DAY, _SILENT_DAYS)
    return np.where(some, labels, "never")


def given_segments(keys: list[str], labels: Mapping[str, str]) -> Labels:
    """Return (n,) the label of each key, 'unknown' where there is none."""
    return np.array([labels.get(key, UNKNOWN) for key in keys], dtype=np.str_)


def profile_segments(log: Interactions) -> dict[str, dict[str, str]]:
    """Return attribute -> user key -> what they say of themselves: whether a model serves all of them alike.

    Whether or not the model reads it. Of attributes that `SHARED_BY` users and more share, in `MOST_SEGMENTS` values
    at most; of a list the first value.
    """
    found: dict[str, dict[str, str]] = {}
    if log.attributes is None:
        return found
    values = fit_profile_values(log.attributes)
    # Many users say the same.
    said = {text: values.by_name(text) for text in set(log.attributes)}
    for key, text in zip(log.keys, log.attributes, strict=True):
        for name, pair in said[text].items():
            found.setdefault(name, {})[key] = pair
    return {name: labels for name, labels in found.items() if len(set(labels.values())) <= MOST_SEGMENTS}


def _bands(values: npt.NDArray[np.int64], bands: tuple[tuple[int, str], ...]) -> Labels:
    starts = np.array([start for start, _ in bands])
    names = np.array([name for _, name in bands])
    return np.asarray(names[np.searchsorted(starts, np.maximum(values, 0), side="right") - 1], dtype=np.str_)
