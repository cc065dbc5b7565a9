"""Ranked lists of a task, and their metrics."""

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
LIST_LENGTH = 10
"""Places for which diversity, novelty and popularity are measured."""


@dataclass(frozen=True)
class RankedLists:
    """The best items of each user, and the rank of every relevant item."""

    lists: Integers
    """(n, 20) item indices, best first; fewer columns where the catalog has fewer items."""
    hits: Flags
    """(n, 20) whether each item of `lists` is relevant."""
    ranks: Integers
    """(entries of `task.relevant`,) rank of each relevant item in the whole catalog, from 1, in the matrix' order."""


def per_user_figures(ranked: RankedLists, task: RankingTask) -> dict[str, Reals]:
    """Return metric -> (n,) values. `cold_recall@10` is NaN for users without a relevant cold item."""
    top = ranked.lists[:, :LIST_LENGTH]
    figures = _accuracy(ranked, task.relevant.getnnz(axis=1))
    figures["novelty@10"] = novelty(top, task.popularity, len(task.known))
    figures["list_popularity@10"] = list_popularity(top, task.popularity)
    figures["history_popularity"] = history_popularity(task.histories, task.popularity)
    if task.item_vectors is not None:
        figures["intra_list_distance@10"] = intra_list_distance(top, task.item_vectors)
    figures["cold_recall@10"] = _cold_recall(ranked, task)
    return {name: values for name, values in figures.items() if not np.isnan(values).all()}


def overall_figures(ranked: RankedLists, per_user: dict[str, Reals], n_items: int) -> dict[str, float]:
    """Return the mean of every metric over the users who have it, and the metrics of all lists together."""
    overall = {name: float(np.nanmean(values)) for name, values in per_user.items()}
    top = ranked.lists[:, :LIST_LENGTH]
    overall["coverage@10"] = coverage(top, n_items)
    overall["gini@10"] = gini(top, n_items)
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
    """Return per user the share of relevant cold items (without known events) in the first 10 places."""
    n_users, n_items = task.relevant.shape
    cold = np.bincount(task.known.items, minlength=n_items) == 0
    entries = task.relevant.tocsr()
    rows = np.repeat(np.arange(n_users), np.diff(entries.indptr))[cold[entries.indices]]
    wanted = np.bincount(rows, minlength=n_users)
    found = np.bincount(rows, weights=ranked.ranks[cold[entries.indices]] <= LIST_LENGTH, minlength=n_users)
    return np.divide(found, wanted, out=np.full(n_users, np.nan), where=wanted > 0)
