"""Scales each dimension of users and items to similar size before quantization to bytes. No product changes.

u . v is the sum over dimensions of (u 2^e) (v 2^-e), and multiplication by a power of two does not round. SmoothQuant
(Xiao et al. 2023, eq. 4 with alpha = 1/2) moves the scale of large activations into the weights of a layer likewise.
"""

from typing import Final

import numpy as np

from pipeline_tasks.topk.arrays import Vectors

_MOST_BITS: Final = 20
"""Bits by which a dimension is scaled at most."""


def dimension_balance(users: Vectors, items: Vectors) -> Vectors:
    """Return (d,) powers of two. Users times these, and items divided by them, are of similar size.

    `users`, `items`: (d,) the largest absolute value of each dimension.

    A vector has one scale, so its largest dimension decides the precision of the others. In a trained model popularity
    features are larger than the embedding: among 235,000 items int8 left too many candidates for all users without
    balance, and for none with it.
    """
    is_used = (users > 0) & (items > 0)
    ratio = np.divide(items, users, out=np.ones(len(users)), where=is_used, dtype=np.float64)
    exponents = np.clip(np.rint(np.log2(ratio) / 2), -_MOST_BITS, _MOST_BITS)
    balance: Vectors = np.exp2(exponents).astype(np.float32)
    return balance
