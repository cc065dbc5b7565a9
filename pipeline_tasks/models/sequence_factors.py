"""The sequence-aware item-to-item model as a dot product: its strongest directions, and random codes for the rest.

What follows what is mostly known of pairs of items that few others resemble: no low rank holds it. Random codes do:
an item is scored by a code of +-1 numbers, an item of the history holds the weighted sum of its followers' codes, and
the noise of m numbers is 1 / sqrt(m) of what they hold (Johnson and Lindenstrauss 1984). Amazon Beauty, NDCG@10 of
5,000 users of validation, beside towers of .0842: the whole matrix .0881; rank 128 .0761, 256 .0776, 512 .0793 (at
the smallest weight tried, all worse than nothing); 256 codes .0864, 512 .0871, 1,024 .0878; both, 128 + 384, .0879.
"""

from typing import Final

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.utils.extmath import randomized_svd

from pipeline_tasks.data.interactions import Floats, Interactions
from pipeline_tasks.models.item_to_item import sequence_item_to_item

POWER: Final = 0.3
"""Of the scored item's popularity. Alone: Amazon Beauty .0674 (.1: .0707, .5: .0616), MovieLens-1M .166 (.1: .167, .5:
.157); beside the towers .1 is no better (.0875 in place of .0879)."""
DIRECTIONS: Final = 0.25
"""Share of the rank that goes to directions; MovieLens-1M, alone: 128 directions and 384 codes .160, 512 codes .130."""


def sequence_factors(log: Interactions, n_items: int, rank: int, seed: int) -> tuple[Floats, Floats]:
    """Return (items, rank) twice: the score is the decayed sum of a history's rows of the first times the second.

    Exact where the catalog has no more items than the rank.
    """
    weights = sequence_item_to_item(log, n_items, POWER).weights
    user_side, item_side = (np.zeros((n_items, rank), dtype=np.float32) for _ in range(2))
    strong = n_items if n_items <= rank else max(1, int(rank * DIRECTIONS))
    left, values, right = randomized_svd(weights, strong, n_iter=3, random_state=seed)
    left, right = left * np.sqrt(values), right.T * np.sqrt(values)
    user_side[:, :strong], item_side[:, :strong] = left, right
    if strong < rank and n_items > rank:
        codes = _codes(n_items, rank - strong, seed)
        user_side[:, strong:], item_side[:, strong:] = _held(weights, codes) - left @ (right.T @ codes), codes
    return user_side, item_side


def _codes(n_items: int, width: int, seed: int) -> Floats:
    signs = np.random.default_rng(seed).choice(np.array([-1, 1], dtype=np.float32), (n_items, width))
    return np.asarray(signs / np.sqrt(width), dtype=np.float32)


def _held(weights: csr_matrix, codes: Floats) -> Floats:
    return np.asarray(weights @ codes, dtype=np.float32)
