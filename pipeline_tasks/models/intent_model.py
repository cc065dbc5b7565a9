"""Probability of a purchase in the next 7 days: two logistic regressions, per user and per user and category.

The training examples have cut-offs 14 and 7 days before the end of the run, and labels from the 7 days after each.
Log-loss is a proper score, so a weakly regularized fit is calibrated. Each run checks this by a fit on the earlier
window, evaluated on the later one.

A group is a user, or a user and a category. The fixed window makes rows comparable for histories of any length, and
nothing after the cut-off is used.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_tasks.data.interactions import Flags
from pipeline_tasks.times import DAY
from pipeline_tasks.topk.arrays import Indices, Scores

LOOK_BACK_DAYS: Final = 14
LABEL_DAYS: Final = 7
_RECENT_DAYS: Final = 3
FEATURES: Final = (
    *("days_since_event", "days_since_purchase", "looks", "recent_looks", "carts", "recent_carts", "purchases"),
    "active_days",
)
"""Columns of `group_features`, each as log(1 + x)."""
ANY: Final = "any"
"""Stands for all categories in place of one."""
MINIMUM_DAYS: Final = 9
"""Days of history needed to fit: 2 of features and 7 of labels."""
MEASURED_DAYS: Final = 21
"""Days of history needed to evaluate: 7 of features, 7 of labels to fit, 7 of labels to evaluate."""


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


@dataclass(frozen=True)
class Histories:
    """n users with their events by category."""

    keys: list[str]
    offsets: Indices
    categories: Indices
    """(m,) index of the category, -1 if it is unknown."""
    times: Indices
    carts: Flags
    purchases: Flags

    def by_user(self) -> GroupEvents:
        """Return the events grouped by user."""
        owners = np.repeat(np.arange(len(self.keys), dtype=np.int64), np.diff(self.offsets))
        return GroupEvents(owners, self.times, self.carts, self.purchases)

    def by_category(self) -> tuple[GroupEvents, Indices, Indices]:
        """Return the events grouped by user and category, and the user and category of each group."""
        whole = self.by_user()
        known = self.categories >= 0
        width = int(self.categories.max(initial=0)) + 1
        pairs, places = np.unique(whole.groups[known] * width + self.categories[known], return_inverse=True)
        grouped = whole.only(known)
        return GroupEvents(places, grouped.times, grouped.carts, grouped.purchases), pairs // width, pairs % width


def read_histories(batch: pa.RecordBatch | pa.Table, category_of: dict[str, int]) -> Histories:
    """Return the histories of a batch (user_key, item_ids, event_types, timestamps), with the category of each item."""
    lengths = pc.list_value_length(batch["item_ids"]).to_numpy()
    items, kinds = pc.list_flatten(batch["item_ids"]), pc.list_flatten(batch["event_types"])
    known = pa.array(list(category_of), pa.string())
    places = pc.fill_null(pc.index_in(items, value_set=known), len(known)).to_numpy()
    return Histories(
        batch["user_key"].to_pylist(),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.array([*category_of.values(), -1], np.int64)[places],
        pc.list_flatten(batch["timestamps"]).to_numpy(),
        np.asarray(pc.equal(kinds, "cart")),
        np.asarray(pc.equal(kinds, "purchase")),
    )


@dataclass(frozen=True)
class Logistic:
    """A fitted logistic regression over standardized features."""

    center: Scores
    scale: Scores
    weights: Scores
    bias: float

    def probability(self, features: Scores) -> Scores:
        """Return (n,) probabilities of (n, f) features."""
        score = ((features - self.center) / self.scale) @ self.weights + self.bias
        return np.asarray(1 / (1 + np.exp(-score)))


@dataclass(frozen=True)
class IntentModel:
    """Both regressions."""

    any: Logistic
    category: Logistic | None
    """None if no user bought in a category of their earlier events."""

    def predict(self, histories: Histories, cutoff: int) -> tuple[Scores, Indices, Indices, Scores]:
        """Return (n,) probabilities of the users; then user, category and probability of each active category."""
        features = group_features(histories.by_user(), len(histories.keys), cutoff)
        nothing = np.zeros(0, np.int64)
        if self.category is None:
            return self.any.probability(features), nothing, nothing, np.zeros(0)
        own, users, categories = _category_features(histories, features, cutoff)
        return self.any.probability(features), users, categories, self.category.probability(own)


def _category_features(histories: Histories, features: Scores, cutoff: int) -> tuple[Scores, Indices, Indices]:
    """Return features (of the category, then of the user), user and category of every active pair."""
    events, users, categories = histories.by_category()
    active = active_before(events, len(users), cutoff)
    own = group_features(events, len(users), cutoff)
    return np.concatenate([own, features[users]], axis=1)[active], users[active], categories[active]


def examples(histories: Histories, cutoff: int) -> tuple[tuple[Scores, Flags], tuple[Scores, Flags]]:
    """Return (features, labels) of the users, and of the users' categories, at `cutoff`.

    Users without an event before it are left out.
    """
    whole, n = histories.by_user(), len(histories.keys)
    first = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(first, whole.groups, whole.times)
    features, there = group_features(whole, n, cutoff), first < cutoff
    own, users, categories = _category_features(histories, features, cutoff)
    events, owners, groups = histories.by_category()
    width = int(groups.max(initial=0)) + 1
    bought = (owners * width + groups)[bought_after(events, len(owners), cutoff)]
    labels = np.isin(users * width + categories, bought)
    return (features[there], bought_after(whole, n, cutoff)[there]), (own, labels)


def cutoffs(end: int) -> tuple[int, int]:
    """Return the two cut-offs of the training examples, the earlier first; `end` is the end of the run's last day."""
    return end - 2 * LABEL_DAYS * DAY, end - LABEL_DAYS * DAY
