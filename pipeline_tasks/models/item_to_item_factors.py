"""The collaborative part of the model: EASE's item-to-item weights in low rank, so that they are a dot product too.

On Online Retail (discovery, NDCG@10 on test) rank 128 keeps .1001 of the full matrix' .1016.
"""

from typing import Final

import numpy as np
import torch
from scipy.sparse import csr_matrix

from pipeline_tasks.data.interactions import Floats, Integers, Interactions
from pipeline_tasks.evaluation.ease import ease_weights
from pipeline_tasks.evaluation.ranking_task import matrix_of

MOST_ITEMS: Final = 6_000
"""EASE inverts items x items (3,665: 4 s, growing with the cube): beyond this, only the items most wanted take part."""
MIN_EVENTS: Final = 3
"""Items wanted less often have nothing to tell; in Complete Journey they are most of the catalog."""
PENALTY: Final = 500.0


def linear_factors(log: Interactions, n_items: int, rank: int, seed: int) -> tuple[Floats, Floats]:
    """Return (items, rank) twice: a history is the sum of its distinct items' rows of the first.

    The dot product of that sum and an item's row of the second is the best approximation of EASE's score in this rank.
    """
    chosen = frequent_items(log, n_items)
    weights = ease_weights(log, n_items, chosen, PENALTY) if rank else torch.empty(0, 0)
    return factorize_weights(weights, chosen, matrix_of(log, n_items), rank, seed)


def factorize_weights(
    weights: torch.Tensor, chosen: Integers, histories: csr_matrix, rank: int, seed: int
) -> tuple[Floats, Floats]:
    """Return (items, rank) twice: rows of the chosen items hold the best factors of `weights` (chosen, chosen).

    Best for what `histories` (sequences, items) hold, a row counting as its item does there: in rank 256 of the 3,077
    items of Online Retail NDCG@10 on validation stays .1356 of .1357; of the weights as they are .1347.
    """
    n_items = histories.shape[1]
    user_side, item_side = (np.zeros((n_items, rank), dtype=np.float32) for _ in range(2))
    if rank:
        scale = np.sqrt(np.asarray(histories.multiply(histories).sum(axis=0), dtype=np.float32).ravel()[chosen])
        scale = np.maximum(scale, 1e-3 * scale.max())[:, None]
        left, values, right = low_rank(torch.from_numpy(scale) * weights, min(rank, len(chosen)), seed)
        user_side[chosen, : len(values)] = left * np.sqrt(values) / scale
        item_side[chosen, : len(values)] = right * np.sqrt(values)
    return user_side, item_side


def frequent_items(log: Interactions, n_items: int) -> Integers:
    """Return the items that take part, ascending: those wanted often enough, at most 6,000 of them."""
    counts = np.bincount(log.items, minlength=n_items)
    often = int((counts >= MIN_EVENTS).sum()) or int((counts > 0).sum())
    return np.sort(np.argsort(-counts, kind="stable")[: min(MOST_ITEMS, often)])


def low_rank(matrix: torch.Tensor, rank: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """Return the best left (n, rank), values (rank,), right (m, rank): Halko et al. 2011, five power iterations."""
    generator = torch.Generator().manual_seed(seed)
    width = min(rank + 10, *matrix.shape)
    basis = matrix @ torch.randn(matrix.shape[1], width, generator=generator)
    for _ in range(5):
        basis = matrix @ torch.linalg.qr(matrix.T @ torch.linalg.qr(basis)[0])[0]
    basis = torch.linalg.qr(basis)[0]
    inner, values, right = torch.linalg.svd(basis.T @ matrix, full_matrices=False)
    left = basis @ inner
    return left[:, :rank].numpy(), values[:rank].numpy(), right[:rank].T.numpy()
