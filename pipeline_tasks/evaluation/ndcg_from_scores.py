"""NDCG@10 of given scores. Tuning on validation computes it many times in a training."""

import numpy as np
import torch

from pipeline_tasks.data.interactions import Floats, Integers
from pipeline_tasks.evaluation.ranking_metrics import ndcg
from pipeline_tasks.evaluation.ranking_task import RankingTask

K = 10


def ndcg_from_scores(scores: Floats, task: RankingTask) -> float:
    """Return the mean over the task's users of the NDCG@10 of `scores` (n, items), which are overwritten.

    It equals the value of full_ranking.evaluate except for ties, in 20 ms instead of 170 (2,199 x 1,732 scores).
    """
    return lists_ndcg(top_lists(scores, task), task)


def top_lists(scores: Floats, task: RankingTask) -> Integers:
    """Return the items (n, 10) of the largest scores, best first, without masked ones. `scores` are overwritten."""
    mask_out(scores, task)
    lists: Integers = torch.from_numpy(scores).topk(min(K, scores.shape[1]), dim=1).indices.numpy()
    return lists


def mask_out(scores: Floats, task: RankingTask) -> None:
    """Set the scores of masked items to minus infinity, in place."""
    rows, columns = task.masked.nonzero()
    scores[rows, columns] = -np.inf


def lists_ndcg(lists: Integers, task: RankingTask) -> float:
    """Return the mean NDCG@10 of lists (n, k) of items, best first."""
    n_items = task.relevant.shape[1]
    places = np.arange(len(lists))[:, None] * n_items + lists
    rows, columns = task.relevant.nonzero()
    hits = np.isin(places, rows.astype(np.int64) * n_items + columns)
    hits = np.pad(hits, ((0, 0), (0, K - hits.shape[1])))
    return float(ndcg(hits, task.relevant.getnnz(axis=1), K).mean())
