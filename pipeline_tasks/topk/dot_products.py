"""The scores that tables hold: dot products in float64, the same wherever and however often they are computed."""

from typing import Final

import numpy as np

from pipeline_tasks.topk.arrays import Indices, Scores, Vectors

_RESCORED_NUMBERS: Final = 8_000_000
"""float64 numbers gathered at a time for the second pass: 64 MB."""


def dot_products(users: Vectors, items: Vectors, rows: Indices, columns: Indices) -> Scores:
    """Return the float64 dot products of pairs (users[rows], items[columns]): the score that tables hold."""
    width = max(users.shape[1], 1)
    step = max(_RESCORED_NUMBERS // width, 1)
    scores = np.zeros(len(rows), np.float64)
    for first in range(0, len(rows), step):
        part = slice(first, first + step)
        products = users[rows[part]].astype(np.float64) * items[columns[part]]
        # Not einsum or matmul: their order of additions depends on where in the block a row lies. By 128, as far as
        # numpy's own order needs no recursion: exact_dot.dot adds alike.
        for start in range(0, width, 128):
            scores[part] += products[:, start : start + 128].sum(axis=1)
    return scores
