"""What a scorer made of a task, and what is measured of it."""

from dataclasses import dataclass

import numpy as np

from pipeline_tasks.data.interactions import Flags, Integers
from pipeline_tasks.evaluation.list_metrics import (
    coverage,
    gini,
    history_popularity,
    intra_list_distance,
    list_popularity,
    novelty,
    popularity_lift,
)
from pipeline_tasks.evaluation.ranking_metrics import (
    Reals,
    f1,
    hit_rate,
    mean_rank,
    ndcg,
    precision,
    recall,
    reciprocal_rank,
)
from pipeline_tasks.evaluation.ranking_task import RankingTask

CUTOFFS = (10, 20)
SHELF = 10
"""Places whose diversity, novelty and popularity are measured."""


@dataclass(frozen=True)
class RankedLists:
    """The first places, and where everything relevant came."""

    lists: Integers
    """(n, 20) item indices, best first; fewer columns where the catalog has fewer items."""
    hits: Flags
    """(n, 20) whether each is relevant."""
    ranks: Integers
    """(entries of `task.relevant`,) rank from 1 of each relevant item over the whole catalog, in the matrix' order."""


def per_user_figures(ranked: RankedLists, task: RankingTask) -> dict[str, Reals]:
    """Return metric -> (n,) values; `cold_recall@10` is NaN for users who wanted nothing unseen before."""
    shelf = ranked.lists[:, :SHELF]
    figures = _accuracy(ranked, task.relevant.getnnz(axis=1))
    figures["novelty@10"] = novelty(shelf, task.popularity, len(task.known))
    figures["list_popularity@10"] = list_popularity(shelf, task.popularity)
    figures["history_popularity"] = history_popularity(task.histories, task.popularity)
    if task.item_vectors is not None:
        figures["intra_list_distance@10"] = intra_list_distance(shelf, task.item_vectors)
    figures["cold_recall@10"] = _cold_recall(ranked, task)
    return {name: values for name, values in figures.items() if not np.isnan(values).all()}


def overall_figures(ranked: RankedLists, per_user: dict[str, Reals], n_items: int) -> dict[str, float]:
    """Return the mean of every metric over those users who have it, and what only all lists together have."""
    overall = {name: float(np.nanmean(values)) for name, values in per_user.items()}
    shelf = ranked.lists[:, :SHELF]
    overall["coverage@10"] = coverage(shelf, n_items)
    overall["gini@10"] = gini(shelf, n_items)
    if "history_popularity" in per_user:
        shown, had = per_user["list_popularity@10"], per_user["history_popularity"]
        overall["popularity_lift@10"] = popularity_lift(shown, had)
    return overall


def _accuracy(ranked: RankedLists, relevant: Integers) -> dict[str, Reals]:
    hits = ranked.hits
    return {
        **{f"recall@{k}": recall(hits, relevant, k) for k in CUTOFFS},
        **{f"ndcg@{k}": ndcg(hits, relevant, k) for k in CUTOFFS},
        **{f"precision@{k}": precision(hits, k) for k in CUTOFFS},
        **{f"f1@{k}": f1(hits, relevant, k) for k in CUTOFFS},
        **{f"hit_rate@{k}": hit_rate(hits, k) for k in CUTOFFS},
        "mrr": reciprocal_rank(ranked.ranks, relevant),
        "mean_rank": mean_rank(ranked.ranks, relevant),
    }


def _cold_recall(ranked: RankedLists, task: RankingTask) -> Reals:
    """Return per user the share of relevant items unseen in what is known that reach the first 10."""
    n_users, n_items = task.relevant.shape
    cold = np.bincount(task.known.items, minlength=n_items) == 0
    entries = task.relevant.tocsr()
    rows = np.repeat(np.arange(n_users), np.diff(entries.indptr))[cold[entries.indices]]
    wanted = np.bincount(rows, minlength=n_users)
    found = np.bincount(rows, weights=ranked.ranks[cold[entries.indices]] <= SHELF, minlength=n_users)
    return np.divide(found, wanted, out=np.full(n_users, np.nan), where=wanted > 0)
