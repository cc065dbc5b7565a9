"""Segments of the users of a task, so that a mean over all users hides no group."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.data.profile_values import fit_profile_values
from pipeline_tasks.times import DAY

Labels = npt.NDArray[np.str_]
UNKNOWN: Final = "unknown"
MOST_SEGMENTS: Final = 12
"""Values of an attribute at most; more bars could not be compared."""
_LENGTHS: Final = ((0, "0 none"), (1, "1"), (2, "2 to 4"), (5, "5 to 9"), (10, "10 to 24"), (25, "25 and more"))
_INACTIVE_DAYS: Final = ((0, "last 7 days"), (7, "last 30 days"), (30, "earlier"))


def history_bands(histories: Interactions) -> Labels:
    """Return (n,) the band of the length of each user's history."""
    return _bands(histories.lengths, _LENGTHS)


def activity_bands(histories: Interactions, now: int) -> Labels:
    """Return (n,) the band of the time from each user's last event to `now` (epoch microseconds)."""
    last = np.full(len(histories), -1, dtype=np.int64)
    has_events = histories.lengths > 0
    last[has_events] = histories.times[histories.offsets[1:][has_events] - 1]
    labels = _bands((now - last) // DAY, _INACTIVE_DAYS)
    return np.where(has_events, labels, "never")


def given_segments(keys: list[str], labels: Mapping[str, str]) -> Labels:
    """Return (n,) the label of each key, or 'unknown'."""
    return np.array([labels.get(key, UNKNOWN) for key in keys], dtype=np.str_)


def profile_segments(log: Interactions) -> dict[str, dict[str, str]]:
    """Return attribute -> user key -> value, to compare how well a model serves the groups.

    It does not matter whether the model reads the attribute. Values must be shared by at least `SHARED_BY` users, and
    an attribute may have at most `MOST_SEGMENTS` values. Of a list the first value counts.
    """
    found: dict[str, dict[str, str]] = {}
    if log.attributes is None:
        return found
    values = fit_profile_values(log.attributes)
    # Many users have equal attributes.
    pairs = {text: values.by_name(text) for text in set(log.attributes)}
    for key, text in zip(log.keys, log.attributes, strict=True):
        for name, pair in pairs[text].items():
            found.setdefault(name, {})[key] = pair
    return {name: labels for name, labels in found.items() if len(set(labels.values())) <= MOST_SEGMENTS}


def _bands(values: npt.NDArray[np.int64], bands: tuple[tuple[int, str], ...]) -> Labels:
    starts = np.array([start for start, _ in bands])
    names = np.array([name for _, name in bands])
    return np.asarray(names[np.searchsorted(starts, np.maximum(values, 0), side="right") - 1], dtype=np.str_)
