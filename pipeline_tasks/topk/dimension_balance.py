"""Brings each dimension of users and items to like size before they become bytes; no product changes.

u . v is the sum over dimensions of (u 2^e) (v 2^-e), and a power of two rounds nothing. SmoothQuant (Xiao et al. 2023,
eq. 4, with a half for its alpha) moves the weight of large activations into the weights of a layer in the same way.
"""

from typing import Final

import numpy as np

from pipeline_tasks.topk.arrays import Vectors

_MOST: Final = 20
"""Bits that a dimension is moved by."""


def dimension_balance(ours: Vectors, theirs: Vectors) -> Vectors:
    """Return (d,) powers of two: users times these, and items divided by them, are as large as one another.

    `ours`, `theirs`: (d,) the largest number of each dimension, its sign apart, in users and in items.

    Where one byte's scale serves a whole vector, its largest dimension decides what is left of the others. Trends are
    larger than tastes in a trained model: of 235,000 of its items int8 left all users too many candidates, balanced
    none.
    """
    told = (ours > 0) & (theirs > 0)
    ratio = np.divide(theirs, ours, out=np.ones(len(ours)), where=told, dtype=np.float64)
    exponents = np.clip(np.rint(np.log2(ratio) / 2), -_MOST, _MOST)
    balance: Vectors = np.exp2(exponents).astype(np.float32)
    return balance
