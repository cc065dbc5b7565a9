"""The repeat model: a score for items of the user's own history, fitted on counts of what users took again.

There are two: one for previously purchased items, one for items that were viewed but not yet purchased. Each is fitted
only if the log supports it.

Each is a logistic regression on how often, how recently and how regularly the user wanted the item, its repeat rate
among all users, its current demand, and the score of the item-to-item part. NDCG@10 of ranking own items on Online
Retail (repeats allowed, validation): .3667; .3492 by the number of baskets, later first; .3620 by boosted trees on the
same features. On Complete Journey: .0857 and .0653.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix

from pipeline_tasks.data.interactions import Flags, Floats, Integers, Interactions, step_numbers
from pipeline_tasks.evaluation.ranking_task import relevant_types
from pipeline_tasks.models.item_to_item import ItemToItemRecipe, fit_item_to_item, half_life, history_weights
from pipeline_tasks.times import DAY

_RECENT_SHARES: Final = (1 / 40, 1 / 10, 1.0)
"""Windows in which the demand for an item is counted, as shares of the log's span."""
_HALF_LIVES: Final = (1 / 20, 1 / 5, 2 / 3)
"""Half-lives of an event's weight, as shares of the log's span."""
_PRIOR: Final = 5.0
"""Pseudo-count of pairs that shrinks an item's repeat rate towards the mean rate."""
_INNER_SHARE: Final = 0.75
"""Share of the events before the inner cut-off, as train is to train plus validation in a split of 6:2:2."""


@dataclass(frozen=True)
class RepeatPairs:
    """p pairs of a sequence and one of its items, sorted by sequence and item."""

    rows: Integers
    items: Integers
    events: Integers
    steps: Integers
    """(p,) number of events, where events at one time (lines of one basket) count once."""
    first: Integers
    last: Integers
    """(p,) epoch microseconds."""
    sequence_steps: Integers
    sequence_last: Integers
    """(p,) steps and last time of the pair's sequence."""
    place: Integers
    """(events,) index of the pair of each event, in the order of `times`."""
    times: Integers
    types: Integers
    """(events,) time and type of each event."""

    def decayed(self, moment: int, half_life: float) -> Floats:
        """Return (p,) the number of events with exponential decay; `half_life` is in microseconds before `moment`."""
        shares = np.exp2(-(moment - self.times) / max(half_life, 1.0))
        return np.bincount(self.place, shares, minlength=len(self.rows)).astype(np.float32)

    def of_type(self, kind: int) -> Integers:
        """Return (p,) the number of events of one type."""
        return np.bincount(self.place[self.types == kind], minlength=len(self.rows))


def own_pairs(log: Interactions, n_items: int) -> RepeatPairs:
    """Return the pairs of a log with the statistics of each."""
    rows, steps = log.rows, step_numbers(log)
    keys, place = np.unique(rows * n_items + log.items, return_inverse=True)
    # An event starts a new step of its pair if the pair's previous event has another step.
    order = np.lexsort((steps, place))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(place[order]) != 0) | (np.diff(steps[order]) != 0)
    first, last = np.full(len(keys), np.iinfo(np.int64).max), np.zeros(len(keys), dtype=np.int64)
    np.minimum.at(first, place, log.times)
    np.maximum.at(last, place, log.times)
    begun = np.diff(steps, prepend=-1) != 0
    sequence_steps = np.bincount(rows[begun], minlength=len(log))
    sequence_last = np.zeros(len(log), dtype=np.int64)
    np.maximum.at(sequence_last, rows, log.times)
    owner = keys // n_items
    return RepeatPairs(
        owner,
        keys % n_items,
        np.bincount(place, minlength=len(keys)),
        np.bincount(place[order][new], minlength=len(keys)),
        first,
        last,
        sequence_steps[owner],
        sequence_last[owner],
        place,
        log.times,
        log.types,
    )


def filter_events(
    log: Interactions, n_items: int, types: tuple[int, ...], unless: tuple[int, ...] = ()
) -> Interactions:
    """Return the events of `types`, without those of pairs of user and item that have an event of `unless`."""
    keep = np.isin(log.types, types)
    if unless:
        keys = log.rows * n_items + log.items
        keep &= ~np.isin(keys, keys[np.isin(log.types, unless)])
    return log.only(keep)


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
        moment = known.data_extent.last_timestamp + 1
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


@dataclass(frozen=True)
class RepeatData:
    """What both models are fitted on: the events of a log, and the item-to-item part of its earlier events."""

    known: Interactions
    n_items: int
    recipe: ItemToItemRecipe

    @cached_property
    def earlier(self) -> Interactions:
        """The first three quarters of the events."""
        return self.known.until(int(np.quantile(self.known.times, _INNER_SHARE)))

    @cached_property
    def factors(self) -> tuple[Floats, Floats]:
        """The user-side and the item-side factors of the item-to-item part, fitted on the earlier events."""
        return fit_item_to_item(self.recipe, self.earlier, self.n_items)


def fit_repeat_model(data: RepeatData) -> RepeatModel | None:
    """Return the model of what users with a history in the first three quarters of the log wanted again in the last.

    Returns None if none or all of the pairs repeat.
    """
    return _fit(data, tuple(relevant_types(data.known).tolist()), ())


def fit_view_conversion(data: RepeatData) -> RepeatModel | None:
    """Return the model of which items, only viewed or put into a cart before, users wanted in the last quarter.

    Its scale is 0 until it is tuned. Returns None as `fit_repeat_model` does.
    """
    wanted = tuple(relevant_types(data.known).tolist())
    weaker = tuple(sorted(set(np.unique(data.known.types).tolist()) - set(wanted)))
    fitted = _fit(data, weaker, wanted) if weaker else None
    return fitted and replace(fitted, scale=0.0)


def _fit(data: RepeatData, types: tuple[int, ...], unless: tuple[int, ...]) -> RepeatModel | None:
    known, n_items, inner, kind = data.known, data.n_items, data.earlier, data.recipe.kind
    pairs = own_pairs(filter_events(inner, n_items, types, unless), n_items)
    moment = inner.data_extent.last_timestamp + 1
    later = known.only((known.times >= moment) & np.isin(known.types, unless or types))
    active = np.isin(pairs.rows, later.rows)
    again = np.isin(pairs.rows * n_items + pairs.items, later.rows * n_items + later.items)[active]
    if not again.any() or again.all():
        return None
    span = float(np.ptp(inner.times))
    levels = demand_levels(inner, n_items, (types, unless), span, moment)
    user_side, item_side = data.factors
    sums = history_weights(kind, inner, n_items, moment, half_life(kind, inner)) @ user_side
    linear = np.asarray(np.einsum("pr,pr->p", sums[pairs.rows], item_side[pairs.items]), dtype=np.float32)
    features = pair_features(pairs, levels, moment, span, linear, types if unless else ())
    weights = _regress(features[active], again)
    return RepeatModel(types, unless, span, weights, levels, moment).at(known, n_items)


def _regress(features: Floats, again: Flags) -> Floats:
    """Return the weights of the unscaled features, then the intercept."""
    # Imported here because it takes half a second, which most logs do not need.
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler, model = StandardScaler(), LogisticRegression(max_iter=500)
    model.fit(scaler.fit_transform(features), again)
    weights = model.coef_[0] / scaler.scale_
    intercept = float(model.intercept_[0] - weights @ scaler.mean_)
    return np.append(weights, intercept).astype(np.float32)
