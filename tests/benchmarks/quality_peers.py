"""Peers that run in the same protocol, within what two cores and 24 GiB can hold."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline_tasks.behavior.interactions import Evidence, Floats, Interactions
from pipeline_tasks.behavior.night_data import NightData
from pipeline_tasks.collaborative.linear_factors import ease_weights
from pipeline_tasks.collaborative.own_pairs import own_pairs
from pipeline_tasks.evaluation.baselines import recent_popularity
from pipeline_tasks.evaluation.ranking_task import Scorer, matrix_of
from pipeline_tasks.peer_models.peers import PEERS, fit_peer

OWN_BASKETS: Final = "own_baskets_then_popular"
QUALITY_PEERS: Final = (*PEERS, OWN_BASKETS)
MOST_ITEMS: Final = {"item_knn": 13_000, "item_knn_all": 13_000, "ease": 19_000}
"""Catalogs up to which a dense items x items model is fitted whole (ItemKNN at 13,000: 2 GB; EASE at 19,000: 6 GB).
Beyond, EASE is that of the items most wanted; ItemKNN is left out."""


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


def can_fit(peer: str, data: NightData) -> bool:
    """Return whether the peer answers the set's questions, and fits into memory."""
    if data.split["strategy"] == "leave_one_out":
        # Own items are masked there, and without times nothing is recent.
        asked = peer not in ("own_repeats", "recent_popularity", OWN_BASKETS)
    else:
        asked = peer != "sasrec"
    return asked and (peer == "ease" or len(data.catalog) <= MOST_ITEMS.get(peer, len(data.catalog)))


def fit_quality_peer(peer: str, known: Interactions, n_items: int) -> Scorer:
    """Fit on all that may be known before test, validation included."""
    if peer == "ease":
        return _ease(known, n_items)
    return _own_baskets(known, n_items) if peer == OWN_BASKETS else fit_peer(peer, known, n_items)


def _own_baskets(known: Interactions, n_items: int) -> OwnBaskets:
    levels = recent_popularity(known, n_items).levels
    # A thousandth: without it, lists of shoppers with few items end anyhow (Online Retail, validation: .3144, .3496).
    return OwnBaskets(OWN_BASKETS, known.evidence, levels / levels.max() / 1_000)


def _ease(known: Interactions, n_items: int) -> EaseOfMostWanted:
    counts = np.bincount(known.items, minlength=n_items)
    chosen = np.sort(np.argsort(-counts, kind="stable")[: MOST_ITEMS["ease"]])
    weights = ease_weights(known, n_items, chosen).numpy()
    return EaseOfMostWanted("ease", known.evidence, weights, chosen, n_items)
