"""Features of purchase intent from the 14 days before a cut-off: one row per group of events.

A group is a user, or a user and a category. The fixed window makes rows comparable for histories of any length, and
nothing after the cut-off is used.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline_tasks.data.interactions import Flags
from pipeline_tasks.time_units import DAY
from pipeline_tasks.topk.arrays import Indices, Scores

LOOK_BACK_DAYS: Final = 14
LABEL_DAYS: Final = 7
_RECENT_DAYS: Final = 3
FEATURES: Final = (
    *("days_since_event", "days_since_purchase", "looks", "recent_looks", "carts", "recent_carts", "purchases"),
    "active_days",
)
"""Columns of `group_features`, each as log(1 + x)."""


@dataclass(frozen=True)
class GroupEvents:
    """m events of n groups."""

    groups: Indices
    """(m,) the group of each event, 0..n-1."""
    times: Indices
    """(m,) epoch microseconds."""
    carts: Flags
    purchases: Flags

    def only(self, kept: Flags) -> "GroupEvents":
        """Return the flagged events."""
        return GroupEvents(self.groups[kept], self.times[kept], self.carts[kept], self.purchases[kept])


def group_features(events: GroupEvents, n: int, cutoff: int) -> Scores:
    """Return (n, len(FEATURES)) features of the groups before `cutoff` (epoch microseconds)."""
    seen = events.only((events.times < cutoff) & (events.times >= cutoff - LOOK_BACK_DAYS * DAY))
    ages: Scores = (cutoff - seen.times) / DAY
    recent, looks = ages <= _RECENT_DAYS, ~(seen.carts | seen.purchases)
    flags = (looks, looks & recent, seen.carts, seen.carts & recent, seen.purchases)
    counted = [_last(ages, seen.groups, n), _last(ages[seen.purchases], seen.groups[seen.purchases], n)]
    counted += [_count(seen.groups[flag], n) for flag in flags]
    days = np.unique(seen.groups * (LOOK_BACK_DAYS + 1) + ages.astype(np.int64)) // (LOOK_BACK_DAYS + 1)
    return np.log1p(np.stack([*counted, _count(days, n)], axis=1))


def bought_after(events: GroupEvents, n: int, cutoff: int) -> Flags:
    """Return (n,) the labels: whether the group has a purchase in the 7 days from `cutoff` on."""
    after = events.purchases & (events.times >= cutoff) & (events.times < cutoff + LABEL_DAYS * DAY)
    return _count(events.groups[after], n) > 0


def active_before(events: GroupEvents, n: int, cutoff: int) -> Flags:
    """Return (n,) whether the group has an event in the 14 days before `cutoff`."""
    seen = (events.times < cutoff) & (events.times >= cutoff - LOOK_BACK_DAYS * DAY)
    return _count(events.groups[seen], n) > 0


def _last(ages: Scores, groups: Indices, n: int) -> Scores:
    """Return the age of each group's latest event in days; LOOK_BACK_DAYS for a group without one."""
    last = np.full(n, float(LOOK_BACK_DAYS))
    np.minimum.at(last, groups, ages)
    return last


def _count(groups: Indices, n: int) -> npt.NDArray[np.float64]:
    return np.bincount(groups, minlength=n).astype(np.float64)
