"""Peers that run in the same protocol, within what two cores and 24 GiB can hold."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import DataExtent, Floats, Interactions
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.evaluation.baselines import recent_popularity
from pipeline_tasks.evaluation.ranking_task import Scorer, build_task, sample_task
from pipeline_tasks.models.ease import ease
from pipeline_tasks.models.peers.peers import PEERS, fit_peer
from pipeline_tasks.models.repeat_model import own_pairs
from pipeline_tasks.training.tune_item_to_item_weight import set_ndcg

EASE_PENALTIES: Final = (20.0, 50.0, 150.0, 500.0)
OWN_BASKETS: Final = "own_baskets_then_popular"
QUALITY_PEERS: Final = (*PEERS, OWN_BASKETS)
EASE_ITEMS: Final = 19_000
"""Up to which EASE is fitted whole (6 GB); beyond, on the items most wanted."""


@dataclass(frozen=True)
class OwnBaskets:
    """In how many baskets the user had the item; of equals, the later first; then what is popular now."""

    name: str
    data_extent: DataExtent
    levels: Floats
    """(items,) recent popularity, below 1."""

    def scores(self, histories: Interactions) -> Floats:
        """Return (histories, items)."""
        pairs = own_pairs(histories, len(self.levels))
        scores = np.tile(self.levels, (len(histories), 1))
        age = (self.data_extent.last_timestamp - pairs.last) / max(1, self.data_extent.last_timestamp)
        scores[pairs.rows, pairs.items] += pairs.steps + 1 - age
        return scores


def can_fit(peer: str, data: RunData) -> bool:
    """Return whether the peer answers the set's questions."""
    # In leave-one-out own items are masked, and without times nothing is recent.
    return data.split["strategy"] != "leave_one_out" or peer not in ("own_repeats", "recent_popularity", OWN_BASKETS)


def fit_quality_peer(peer: str, data: RunData, seed: int) -> Scorer:
    """Fit on all events before test, validation included; `seed` is for peers that draw."""
    known, n_items = data.parts.known_before("test"), len(data.catalog)
    if peer == "ease":
        return ease(known, n_items, _penalty(data), EASE_ITEMS)
    return _own_baskets(known, n_items) if peer == OWN_BASKETS else fit_peer(peer, known, n_items, seed)


def _penalty(data: RunData) -> float:
    """Return EASE's best on validation."""
    task = sample_task(build_task(data.parts, "validation", "discovery", len(data.catalog)), 5_000, 1)
    return max(EASE_PENALTIES, key=lambda penalty: set_ndcg(task, penalty))


def _own_baskets(known: Interactions, n_items: int) -> OwnBaskets:
    levels = recent_popularity(known, n_items).levels
    # A thousandth: without it, lists of users with few items end anyhow (Online Retail, validation: .3144, .3496).
    return OwnBaskets(OWN_BASKETS, known.data_extent, levels / levels.max() / 1_000)
