"""The sequence-aware item-to-item model as a dot product: singular vectors, and random codes for the residual.

The successor matrix is mostly of high rank, so a truncated SVD loses much of it. Random codes keep it: each scored item
has a code of +-1 values, and each history item has the weighted sum of its successors' codes. With m values, the noise
is 1 / sqrt(m) of the signal (Johnson and Lindenstrauss 1984). Amazon Beauty, NDCG@10 of 5,000 validation users, beside
towers of .0842: full matrix .0881; rank 128 .0761, 256 .0776, 512 .0793 (at the smallest weight tried); 256 codes
.0864, 512 .0871, 1,024 .0878; 128 singular vectors and 384 codes .0879.
"""

from typing import Final

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.utils.extmath import randomized_svd

from pipeline_tasks.data.interactions import Floats, Interactions
from pipeline_tasks.models.item_to_item import sequence_item_to_item

POWER: Final = 0.3
"""Power of the scored item's popularity. Alone: Amazon Beauty .0674 (.1: .0707, .5: .0616), MovieLens-1M .166 (.1:
.167, .5: .157); beside the towers .1 is no better (.0875 instead of .0879)."""
DIRECTIONS: Final = 0.25
"""Share of the rank for singular vectors. MovieLens-1M, alone: 128 of them and 384 codes .160, 512 codes .130."""


def sequence_factors(log: Interactions, n_items: int, rank: int, seed: int) -> tuple[Floats, Floats]:
    """Return the user-side and the item-side factors, both (items, rank).

    A score is the decayed sum of the history's user-side rows, times an item-side row. It is exact if the catalog has
    no more items than the rank.
    """
    weights = sequence_item_to_item(log, n_items, POWER).weights
    user_side, item_side = (np.zeros((n_items, rank), dtype=np.float32) for _ in range(2))
    n_directions = n_items if n_items <= rank else max(1, int(rank * DIRECTIONS))
    left, values, right = randomized_svd(weights, n_directions, n_iter=3, random_state=seed)
    left, right = left * np.sqrt(values), right.T * np.sqrt(values)
    user_side[:, :n_directions], item_side[:, :n_directions] = left, right
    if n_directions < rank and n_items > rank:
        codes = _random_codes(n_items, rank - n_directions, seed)
        user_side[:, n_directions:], item_side[:, n_directions:] = (
            _successor_codes(weights, codes) - left @ (right.T @ codes),
            codes,
        )
    return user_side, item_side


def _random_codes(n_items: int, width: int, seed: int) -> Floats:
    signs = np.random.default_rng(seed).choice(np.array([-1, 1], dtype=np.float32), (n_items, width))
    return np.asarray(signs / np.sqrt(width), dtype=np.float32)


def _successor_codes(weights: csr_matrix, codes: Floats) -> Floats:
    return np.asarray(weights @ codes, dtype=np.float32)
