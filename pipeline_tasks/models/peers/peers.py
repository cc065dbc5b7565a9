"""The registry of peer models by name, for mlflow/registry.yaml and the benchmarks.

A peer's module is imported when it is fitted, so that a run without Spark's ALS does not import Spark here.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Final

from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.evaluation.ranking_task import Scorer

PEERS: Final = {
    "popularity": "evaluation.baselines:popularity",
    "recent_popularity": "evaluation.baselines:recent_popularity",
    "own_repeats": "evaluation.baselines:own_repeats",
    "item_knn": "evaluation.baselines:item_knn",
    "item_knn_all": "evaluation.baselines:item_knn_all",
    "ease": "models.ease:ease",
    "item_to_item": "models.item_to_item:sequence_item_to_item",
    "sasrec": "models.peers.peer_sasrec:fit_sasrec",
    "spark_als": "models.peers.peer_spark_als:fit_spark_als",
    "implicit_als": "models.peers.peer_implicit:fit_implicit_als",
    "implicit_bpr": "models.peers.peer_implicit:fit_implicit_bpr",
}
"""Name -> ``module:function`` within pipeline_tasks; each function is ``fit(log, n_items) -> Scorer``."""
SEEDED_PEERS: Final = ("sasrec", "spark_als", "implicit_als", "implicit_bpr")
"""Peers with random start values; their functions take a ``seed`` too."""


def fit_peer(name: str, log: Interactions, n_items: int, seed: int = 1) -> Scorer:
    """Fit a peer with its default settings on all of `log`; `seed` is used for those of `SEEDED_PEERS`.

    Raises:
        ValueError: there is no peer of that name.
        ModuleNotFoundError: the peer's library is not installed (`implicit` comes with the extra `dev`).
    """
    if name not in PEERS:
        raise ValueError(f"{name!r} is not a peer: choose from {', '.join(PEERS)}")
    module, _, function = PEERS[name].partition(":")
    fit: Callable[..., Scorer] = getattr(import_module(f"pipeline_tasks.{module}"), function)
    return fit(log, n_items, seed=seed) if name in SEEDED_PEERS else fit(log, n_items)
