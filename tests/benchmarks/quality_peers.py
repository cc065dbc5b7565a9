"""Peers that run in the same protocol: the product's baselines, within what two cores and 24 GiB can hold."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline_tasks.baselines import BASELINES, recent_popularity
from pipeline_tasks.interactions import Evidence, Floats, Interactions
from pipeline_tasks.item_to_item import sequence_item_to_item
from pipeline_tasks.linear_factors import MOST_ITEMS, ease_weights
from pipeline_tasks.own_pairs import own_pairs
from pipeline_tasks.ranking_task import Scorer, matrix_of

MOST_SQUARE = 13_000
"""Items up to which a dense items x items model is fitted whole (ItemKNN: 2 GB)."""


@dataclass(frozen=True)
class EaseOfMostWanted:
    """EASE over the items most wanted; the others score below all of them."""

    name: str
    evidence: Evidence
    weights: Floats
    chosen: np.ndarray
    n_items: int

    def scores(self, histories: Interactions) -> Floats:
        """Return (histories, items)."""
        scores = np.full((len(histories), self.n_items), -1e3, dtype=np.float32)
        scores[:, self.chosen] = matrix_of(histories, self.n_items)[:, self.chosen] @ self.weights
        return scores


@dataclass(frozen=True)
class OwnBaskets:
    """In how many baskets the shopper had the item; of equals, the later first; then what is popular now."""

    name: str
    evidence: Evidence
    levels: Floats
    """(items,) recent popularity, below 1."""

    def scores(self, histories: Interactions) -> Floats:
        """Return (histories, items)."""
        pairs = own_pairs(histories, len(self.levels))
        scores = np.tile(self.levels, (len(histories), 1))
        age = (self.evidence.last_timestamp - pairs.last) / max(1, self.evidence.last_timestamp)
        scores[pairs.rows, pairs.items] += pairs.steps + 1 - age
        return scores


def fit_peers(known: Interactions, n_items: int) -> Iterator[Scorer]:
    """Fit each on all that may be known before test, validation included; one at a time, as some are large."""
    for name, fit in BASELINES.items():
        if not (name == "ease" and n_items > MOST_ITEMS) and not (name == "item_knn" and n_items > MOST_SQUARE):
            yield fit(known, n_items)
    levels = recent_popularity(known, n_items).levels
    # A thousandth: without it, lists of shoppers with few items end anyhow (Online Retail, validation: .3144, .3496).
    yield OwnBaskets("own baskets, then popular", known.evidence, levels / levels.max() / 1_000)
    yield sequence_item_to_item(known, n_items)
    if n_items > MOST_ITEMS:
        counts = np.bincount(known.items, minlength=n_items)
        chosen = np.sort(np.argsort(-counts, kind="stable")[:MOST_ITEMS])
        weights = ease_weights(known, n_items, chosen).numpy()
        yield EaseOfMostWanted(f"ease of {MOST_ITEMS}", known.evidence, weights, chosen, n_items)
