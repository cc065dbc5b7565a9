"""Ranks the whole catalog for every shopper, in matrix blocks, and measures the lists."""

from dataclasses import dataclass, field

import numpy as np

from pipeline_tasks.interactions import Flags, Floats, Integers
from pipeline_tasks.ranking_metrics import Reals, coverage, gini, ndcg, novelty, recall, reciprocal_rank
from pipeline_tasks.ranking_task import RankingTask, Scorer
from pipeline_tasks.split_parts import refuse_future

CUTOFFS = (10, 20)
_BLOCK = 512


@dataclass(frozen=True)
class RankingResult:
    """What a scorer achieved in a task."""

    scorer: str
    task: str
    per_shopper: dict[str, Reals]
    """Metric -> one value per shopper, in the task's order: what intervals and paired tests are made from."""
    overall: dict[str, float] = field(default_factory=dict)
    """Metric -> the mean over shoppers, or a figure of all lists together."""


def evaluate(scorer: Scorer, task: RankingTask) -> RankingResult:
    """Measure `scorer` on `task` by full ranking.

    Raises:
        FutureLeakError: the scorer was fitted on more than the task allows to be known.
        ValueError: a score is not finite.
    """
    refuse_future(scorer.name, scorer.evidence, task.known)
    blocks = [
        _rank_block(scorer, task, np.arange(start, min(start + _BLOCK, len(task.histories))))
        for start in range(0, len(task.histories), _BLOCK)
    ]
    if not blocks:
        raise ValueError(f"nobody to evaluate in {task.name}: no known shopper has a history and a relevant item")
    lists, hits, first_rank = (np.concatenate(columns) for columns in zip(*blocks, strict=True))
    counts = task.relevant.getnnz(axis=1)
    per_shopper = {
        **{f"recall@{k}": recall(hits, counts, k) for k in CUTOFFS},
        **{f"ndcg@{k}": ndcg(hits, counts, k) for k in CUTOFFS},
        "mrr": reciprocal_rank(first_rank),
        "novelty@10": novelty(lists[:, :10], task.popularity, len(task.known)),
    }
    overall = {name: float(values.mean()) for name, values in per_shopper.items()}
    overall["coverage@10"] = coverage(lists[:, :10], task.relevant.shape[1])
    overall["gini@10"] = gini(lists[:, :10], task.relevant.shape[1])
    return RankingResult(scorer.name, task.name, per_shopper, overall)


def top_items(scores: Floats, k: int) -> Integers:
    """Return (n, k) the indices of the k highest scores of each row, best first, ties by the lower index."""
    k = min(k, scores.shape[1])
    if k < scores.shape[1] // 4:
        # The k-th highest score of each row bounds what must be sorted.
        bound = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]
        scores = np.where(scores >= bound, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")
    return order[:, :k].astype(np.int64)


def _rank_block(scorer: Scorer, task: RankingTask, block: Integers) -> tuple[Integers, Flags, Integers]:
    scores = np.array(scorer.scores(task.histories.select(block)), dtype=np.float32)
    if not np.isfinite(scores).all():
        raise ValueError(f"{scorer.name} gave a score that is not finite in {task.name}")
    scores[task.masked[block].toarray() > 0] = -np.inf
    relevant = task.relevant[block].toarray() > 0
    lists = top_items(scores, max(CUTOFFS))
    hits = np.take_along_axis(relevant, lists, axis=1)
    best = np.where(relevant, scores, -np.inf).argmax(axis=1)[:, None]
    best_score = np.take_along_axis(scores, best, axis=1)
    ahead = (scores > best_score) | ((scores == best_score) & (np.arange(scores.shape[1]) < best))
    return lists, hits, ahead.sum(axis=1) + 1
