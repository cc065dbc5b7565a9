"""Probability of a purchase in the next 7 days: two logistic regressions, per user and per user and category.

They learn from the past: as of 14 days before the end of the night, with what was bought in the 7 days after; and as of
7 days before. Log-loss is a proper score, so an unregularized enough fit is calibrated by itself; whether it is, is
measured each night: fitted on the earlier window alone, and held against the later one.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_tasks.data.interactions import Flags
from pipeline_tasks.models.intent_features import LABEL_DAYS, GroupEvents, active_before, bought_after, group_features
from pipeline_tasks.time_units import DAY
from pipeline_tasks.topk.arrays import Indices, Scores

ANY: Final = "any"
"""In place of a category: whatever it is."""
MINIMUM_DAYS: Final = 9
"""Of history: 2 to learn from, and 7 of labels."""
MEASURED_DAYS: Final = 21
"""Of history: 7 to learn from, 7 of labels, 7 of labels to check with."""


@dataclass(frozen=True)
class Histories:
    """n users with their events by category."""

    keys: list[str]
    offsets: Indices
    categories: Indices
    """(m,) place in a list of categories, -1 where it is unknown."""
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
    """Return (user_key, item_ids, event_types, timestamps) with the category of each item."""
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
    """None where nobody bought again in a category that they had turned to."""

    def predict(self, histories: Histories, cutoff: int) -> tuple[Scores, Indices, Indices, Scores]:
        """Return (n,) probabilities of the users, and user, category, probability of their active categories."""
        features = group_features(histories.by_user(), len(histories.keys), cutoff)
        nothing = np.zeros(0, np.int64)
        if self.category is None:
            return self.any.probability(features), nothing, nothing, np.zeros(0)
        own, users, categories = _category_features(histories, features, cutoff)
        return self.any.probability(features), users, categories, self.category.probability(own)


def _category_features(histories: Histories, features: Scores, cutoff: int) -> tuple[Scores, Indices, Indices]:
    """Return features (in the category, then of the user), user and category of every active pair."""
    events, users, categories = histories.by_category()
    active = active_before(events, len(users), cutoff)
    own = group_features(events, len(users), cutoff)
    return np.concatenate([own, features[users]], axis=1)[active], users[active], categories[active]


def examples(histories: Histories, cutoff: int) -> tuple[tuple[Scores, Flags], tuple[Scores, Flags]]:
    """Return (features, labels) of the users, and of the users' categories, as of `cutoff`.

    Users who were not there yet are left out.
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
    """Return the two moments to learn from, the earlier first; `end` is that of the night."""
    return end - 2 * LABEL_DAYS * DAY, end - LABEL_DAYS * DAY
