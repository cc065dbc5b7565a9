"""Segments of shoppers within a task, so that a mean over everybody hides nobody."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline_tasks.behavior.interactions import Interactions

Labels = npt.NDArray[np.str_]
UNKNOWN: Final = "unknown"
_DAY: Final = 86_400_000_000
_LENGTHS: Final = ((0, "0 none"), (1, "1"), (2, "2 to 4"), (5, "5 to 9"), (10, "10 to 24"), (25, "25 and more"))
_SILENT_DAYS: Final = ((0, "last 7 days"), (7, "last 30 days"), (30, "earlier"))


def history_bands(histories: Interactions) -> Labels:
    """Return (n,) how many events each shopper's history has, in bands."""
    return _bands(histories.lengths, _LENGTHS)


def activity_bands(histories: Interactions, now: int) -> Labels:
    """Return (n,) when each shopper was last seen before `now` (epoch microseconds), in bands."""
    last = np.full(len(histories), -1, dtype=np.int64)
    some = histories.lengths > 0
    last[some] = histories.times[histories.offsets[1:][some] - 1]
    labels = _bands((now - last) // _DAY, _SILENT_DAYS)
    return np.where(some, labels, "never")


def given_segments(keys: list[str], labels: Mapping[str, str]) -> Labels:
    """Return (n,) the label of each key, 'unknown' where there is none."""
    return np.array([labels.get(key, UNKNOWN) for key in keys], dtype=np.str_)


def _bands(values: npt.NDArray[np.int64], bands: tuple[tuple[int, str], ...]) -> Labels:
    starts = np.array([start for start, _ in bands])
    names = np.array([name for _, name in bands])
    return np.asarray(names[np.searchsorted(starts, np.maximum(values, 0), side="right") - 1], dtype=np.str_)
