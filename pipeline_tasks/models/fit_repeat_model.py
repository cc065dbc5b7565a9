"""Fits the repeat model (previously purchased items) and the view conversion model (viewed, not yet purchased)."""

from dataclasses import replace
from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import Flags, Floats, Interactions
from pipeline_tasks.evaluation.ranking_task import relevant_types
from pipeline_tasks.models.item_to_item_part import ItemToItemRecipe, fit_item_to_item, half_life, history_weights
from pipeline_tasks.models.repeat_model import RepeatModel, demand_levels, pair_features
from pipeline_tasks.models.repeat_pairs import filter_events, own_pairs

_INNER_SHARE: Final = 0.75
"""Share of the events before the inner cut-off, as train is to train plus validation in a split of 6:2:2."""


def fit_repeat_model(known: Interactions, n_items: int, recipe: ItemToItemRecipe) -> RepeatModel | None:
    """Return the model of what users with a history in the first three quarters of `known` wanted again in the last.

    The item-to-item part of its features is fitted on the earlier part by the same recipe. Returns None if none or all
    of the pairs repeat.
    """
    return _fit(known, n_items, recipe, tuple(relevant_types(known).tolist()), ())


def fit_view_conversion(known: Interactions, n_items: int, recipe: ItemToItemRecipe) -> RepeatModel | None:
    """Return the model of which items, only viewed or put into a cart before, users wanted in the last quarter.

    Its scale is 0 until it is tuned. Returns None as `fit_repeat_model` does.
    """
    wanted = tuple(relevant_types(known).tolist())
    weaker = tuple(sorted(set(np.unique(known.types).tolist()) - set(wanted)))
    fitted = _fit(known, n_items, recipe, weaker, wanted) if weaker else None
    return fitted and replace(fitted, scale=0.0)


def _fit(
    known: Interactions, n_items: int, recipe: ItemToItemRecipe, types: tuple[int, ...], unless: tuple[int, ...]
) -> RepeatModel | None:
    inner = known.until(int(np.quantile(known.times, _INNER_SHARE)))
    pairs = own_pairs(filter_events(inner, n_items, types, unless), n_items)
    moment = inner.evidence.last_timestamp + 1
    later = known.only((known.times >= moment) & np.isin(known.types, unless or types))
    active = np.isin(pairs.rows, later.rows)
    again = np.isin(pairs.rows * n_items + pairs.items, later.rows * n_items + later.items)[active]
    if not again.any() or again.all():
        return None
    span = float(np.ptp(inner.times))
    levels = demand_levels(inner, n_items, (types, unless), span, moment)
    user_side, item_side = fit_item_to_item(recipe, inner, n_items)
    sums = history_weights(recipe.kind, inner, n_items, moment, half_life(recipe.kind, inner)) @ user_side
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
