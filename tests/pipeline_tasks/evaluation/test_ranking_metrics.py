from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.metrics import ndcg_score
from torchmetrics.functional.retrieval import (
    retrieval_hit_rate,
    retrieval_normalized_dcg,
    retrieval_precision,
    retrieval_recall,
    retrieval_reciprocal_rank,
)

from pipeline_tasks.data.interactions import Flags, Floats, Integers
from pipeline_tasks.evaluation.metrics import (
    Reals,
    f1,
    hit_rate,
    mean_rank,
    ndcg,
    precision,
    recall,
    reciprocal_rank,
)
from pipeline_tasks.evaluation.ranks_from_scores import rank_of, top_items

USERS, ITEMS = 60, 90


def random_case(seed: int, levels: int) -> tuple[Floats, Flags, Floats]:
    """Return scores with as many levels, relevance, and the scores with ties broken for the lower index."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, (USERS, ITEMS)).astype(np.float32)
    relevant = rng.random((USERS, ITEMS)) < rng.choice([0.02, 0.3])
    relevant[:, 3] = True
    # Within 0..1, because torchmetrics ignores predictions at or below 0.
    order = np.argsort(np.argsort(scores * ITEMS - np.arange(ITEMS), axis=1), axis=1)
    strict = ((order + 1) / (ITEMS + 1)).astype(np.float32)
    return scores, relevant, strict


def hits_of(scores: Floats, relevant: Flags, k: int) -> Flags:
    hits: Flags = np.take_along_axis(relevant, top_items(scores, k), axis=1)
    return hits


def theirs(metric: Callable[..., torch.Tensor], strict: Floats, relevant: Flags, k: int | None = None) -> Reals:
    rows = zip(torch.from_numpy(strict), torch.from_numpy(relevant), strict=True)
    return np.array([float(metric(row, wanted, top_k=k)) for row, wanted in rows])


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("levels", [1, 4, 10_000])
@pytest.mark.parametrize("k", [1, 10, 20])
def test_metrics_at_k_equal_those_of_torchmetrics(k: int, levels: int, seed: int) -> None:
    scores, relevant, strict = random_case(seed, levels)
    hits, counts = hits_of(scores, relevant, k), relevant.sum(axis=1)
    pairs = [
        (recall(hits, counts, k), retrieval_recall),
        (precision(hits, k), retrieval_precision),
        (hit_rate(hits, k), retrieval_hit_rate),
        (ndcg(hits, counts, k), retrieval_normalized_dcg),
    ]
    for ours, metric in pairs:
        np.testing.assert_allclose(ours, theirs(metric, strict, relevant, k), atol=1e-6)
    both = np.stack([precision(hits, k), recall(hits, counts, k)])
    harmonic = 2 * both.prod(axis=0) / np.maximum(both.sum(axis=0), 1e-12)
    np.testing.assert_allclose(f1(hits, counts, k), harmonic, atol=1e-12)


@pytest.mark.parametrize("levels", [1, 4, 10_000])
def test_ranks_over_the_catalog_equal_those_of_torchmetrics(levels: int) -> None:
    scores, relevant, strict = random_case(3, levels)
    rows, items = (np.asarray(part, dtype=np.int64) for part in np.nonzero(relevant))
    ranks: Integers = rank_of(scores, rows, items)
    counts = relevant.sum(axis=1)
    expected = theirs(retrieval_reciprocal_rank, strict, relevant)
    np.testing.assert_allclose(reciprocal_rank(ranks, counts), expected, atol=1e-6)
    places = np.argsort(np.argsort(-strict, axis=1), axis=1) + 1
    by_hand = [row[wanted].mean() for row, wanted in zip(places, relevant, strict=True)]
    np.testing.assert_allclose(mean_rank(ranks, counts), by_hand)


def test_ndcg_equals_that_of_sklearn() -> None:
    scores, relevant, _ = random_case(4, 1_000_000)
    ours = ndcg(hits_of(scores, relevant, 10), relevant.sum(axis=1), 10)
    expected = [ndcg_score([row], [score], k=10) for row, score in zip(relevant, scores, strict=True)]
    np.testing.assert_allclose(ours, expected)


def test_a_catalog_smaller_than_the_cut_off_counts_as_misses() -> None:
    hits = np.array([[True, False, True]])
    counts = np.array([2])
    assert precision(hits, 10).tolist() == [0.2]
    assert recall(hits, counts, 10).tolist() == [1.0]
    assert ndcg(hits, counts, 10)[0] == pytest.approx((1 + 0.5) / (1 + 1 / np.log2(3)))
