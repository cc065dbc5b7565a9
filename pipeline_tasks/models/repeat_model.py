"""The repeat model: a score for items of the user's own history, which is added to the dot product.

There are two: one for previously purchased items, one for items that were viewed but not yet purchased. Each is fitted
only if the log supports it.

Each is a logistic regression on how often, how recently and how regularly the user wanted the item, its repeat rate
among all users, its current demand, and the score of the item-to-item part. NDCG@10 of ranking own items on Online
Retail (repeats allowed, validation): .3667; .3492 by the number of baskets, later first; .3620 by boosted trees on the
same features. On Complete Journey: .0857 and .0653.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix

from pipeline_tasks.data.interactions import Floats, Integers, Interactions
from pipeline_tasks.models.repeat_pairs import RepeatPairs, filter_events, own_pairs
from pipeline_tasks.time_units import DAY

_RECENT_SHARES: Final = (1 / 40, 1 / 10, 1.0)
"""Windows in which the demand for an item is counted, as shares of the log's span."""
_HALF_LIVES: Final = (1 / 20, 1 / 5, 2 / 3)
"""Half-lives of an event's weight, as shares of the log's span."""
_PRIOR: Final = 5.0
"""Pseudo-count of pairs that shrinks an item's repeat rate towards the mean rate."""


@dataclass(frozen=True)
class RepeatModel:
    """A fitted scorer of items of the user's history, with the demand for every item at one time."""

    types: tuple[int, ...]
    """Event types that count, as indices into CHOSEN_TYPES."""
    unless: tuple[int, ...]
    """Pairs with an event of these types are excluded; () for the model of repeated events of `types`."""
    span: float
    """Span of the log in microseconds, the unit of half-lives and windows."""
    weights: Floats
    """One per feature, then the intercept."""
    levels: Floats
    """(items, 4): log of the rate at which pairs are wanted (again), log of the counts over _RECENT_SHARES."""
    moment: int
    """Time of scoring in epoch microseconds; ages are relative to it."""
    scale: float = 1.0
    offset: float = 0.0
    """The addition is scale x log-odds + offset; both are chosen on validation."""

    def at(self, known: Interactions, n_items: int) -> "RepeatModel":
        """Return the model with the demand after the last event of `known`."""
        moment = known.evidence.last_timestamp + 1
        levels = demand_levels(known, n_items, (self.types, self.unless), self.span, moment)
        return replace(self, levels=levels, moment=moment)

    def pairs(self, histories: Interactions) -> RepeatPairs:
        """Return the user-item pairs that the model scores."""
        n_items = self.levels.shape[0]
        return own_pairs(filter_events(histories, n_items, self.types, self.unless), n_items)

    def additions(self, pairs: RepeatPairs, linear: Floats, sequences: int) -> csr_matrix:
        """Return (sequences, items), sparse, of scores; `linear` (pairs,) are those of the item-to-item part."""
        counted_types = self.types if self.unless else ()
        features = pair_features(pairs, self.levels, self.moment, self.span, linear, counted_types)
        values = self.scale * (features @ self.weights[:-1] + self.weights[-1]) + self.offset
        return csr_matrix((values.astype(np.float32), (pairs.rows, pairs.items)), shape=(sequences, len(self.levels)))


def demand_levels(
    known: Interactions, n_items: int, types: tuple[tuple[int, ...], tuple[int, ...]], span: float, moment: int
) -> Floats:
    """Return (items, 4), see `RepeatModel.levels`; `types` are its `types` and `unless`."""
    wanted = known.only(np.isin(known.types, types[0]))
    pairs = own_pairs(wanted, n_items)
    had = np.bincount(pairs.items, minlength=n_items)
    if types[1]:
        # Pairs that converted: all viewed pairs less those that remain.
        again = had - np.bincount(own_pairs(filter_events(known, n_items, *types), n_items).items, minlength=n_items)
    else:
        again = np.bincount(pairs.items, pairs.steps - 1, minlength=n_items)
    mean = float(again.sum() / max(1, had.sum()))
    rate = np.log((again + _PRIOR * mean + 1e-3) / (had + _PRIOR))
    counts = [
        np.log1p(np.bincount(wanted.items[wanted.times > moment - share * span], minlength=n_items))
        for share in _RECENT_SHARES
    ]
    return np.stack([rate, *counts], axis=1).astype(np.float32)


def pair_features(
    pairs: RepeatPairs, levels: Floats, moment: int, span: float, linear: Floats, counted_types: tuple[int, ...] = ()
) -> Floats:
    """Return (pairs, features); events of each type in `counted_types` are also counted separately."""
    steps, of_all = np.log(pairs.steps), np.log1p(pairs.sequence_steps)
    age, idle = _log_days(moment - pairs.last), _log_days(moment - pairs.sequence_last)
    gap = _log_days(np.where(pairs.steps > 1, (pairs.last - pairs.first) / np.maximum(pairs.steps - 1, 1), 0))
    lives = [np.log(pairs.decayed(moment, life * span) + 1e-3) for life in _HALF_LIVES]
    several = pairs.steps > 1
    liked = np.maximum(linear, 0)
    columns = [
        *(steps, np.log1p(pairs.events), age, steps / of_all, pairs.steps / pairs.sequence_steps, of_all),
        *(*levels[pairs.items].T, idle, _log_days(pairs.sequence_last - pairs.last)),
        *(steps * age, gap, several * (age - gap), *lives),
        *(linear, np.log(liked + 0.01), liked * steps),
        *(np.log1p(pairs.of_type(kind)) for kind in counted_types),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _log_days(microseconds: Integers | Floats) -> Floats:
    return np.asarray(np.log1p(np.maximum(microseconds, 0) / DAY), dtype=np.float32)
