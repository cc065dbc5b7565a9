"""Dot products in float64 with a fixed order of additions: the scores in the published tables."""

from typing import Final

import numpy as np

from pipeline_tasks.topk.arrays import Indices, Scores, Vectors

_RESCORED_NUMBERS: Final = 8_000_000
"""float64 numbers in memory at a time: 64 MB."""


def dot_products(users: Vectors, items: Vectors, rows: Indices, columns: Indices) -> Scores:
    """Return the float64 dot products of the pairs (users[rows], items[columns])."""
    width = max(users.shape[1], 1)
    step = max(_RESCORED_NUMBERS // width, 1)
    scores = np.zeros(len(rows), np.float64)
    for first in range(0, len(rows), step):
        part = slice(first, first + step)
        products = users[rows[part]].astype(np.float64) * items[columns[part]]
        # Not einsum or matmul, whose order of additions depends on the position of a row in the block. In steps of
        # 128, up to which numpy's pairwise sum does not recurse; exact_dot.dot adds in the same order.
        for start in range(0, width, 128):
            scores[part] += products[:, start : start + 128].sum(axis=1)
    return scores
