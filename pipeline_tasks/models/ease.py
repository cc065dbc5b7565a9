"""EASE (Steck 2019, eq. 8), its weights in low rank, and EASE of baskets.

It is a baseline, and the core of the item-to-item part of the model.

On Online Retail (discovery, NDCG@10 on test) rank 128 reaches .1001, the full matrix .1016.

EDLAE (Steck 2020, Autoencoders that don't overfit towards the Identity) at full rank: each item is dropped from its
basket with some probability, which equals a penalty that grows with the item's frequency. In addition, the pairs of a
basket are divided by the root of its length, so that large baskets do not dominate. NDCG@10 on validation for a line
held out of 5,000 of Online Retail's 17,488 invoices: EASE .1986, with the drop rate .2010, with both .2033.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from scipy.sparse import csr_matrix, diags

from pipeline_tasks.data.interactions import DataExtent, Floats, Integers, Interactions
from pipeline_tasks.evaluation.ranking_task import interaction_matrix

PENALTY: Final = 250.0
MOST_ITEMS: Final = 10_000
"""Memory grows with the square of the items, time with the cube. 10,000 items need 1.2 GB, 40,000 would need 20 GB."""
_UNSCORED: Final = -1e3
"""Below every score."""
MOST_FACTOR_ITEMS: Final = 6_000
"""Maximum number of items in EASE, the most frequent first; it inverts an items x items matrix (4 s for 3,665)."""
MIN_EVENTS: Final = 3
"""Minimum number of events of an item; rarer items carry no signal, and are most of Complete Journey's catalog."""
FACTOR_PENALTY: Final = 500.0
BASKET_PENALTY: Final = 0.3
"""Default ridge penalty, in units of the mean of the Gram matrix's diagonal."""
DROP_RATE: Final = 0.15
"""Probability to drop an item. .05 is as good with penalty .3 but worse with a lower one; .5 and more is worse than 0.
"""
LENGTH_POWER: Final = 0.5
"""Power of a basket's length by which its pairs are divided. NDCG@10: .25 .2024, .5 .2033, .75 .2004, 1 .193."""


@dataclass(frozen=True)
class Ease:
    """A scorer by the sum of weights from each distinct item of the history to the scored item.

    Items that are not in `chosen` come last.
    """

    name: str
    data_extent: DataExtent
    weights: Floats
    """(chosen, chosen): from an item of the history to the item scored."""
    chosen: Integers
    """(chosen,) item indices, ascending."""
    n_items: int

    def scores(self, histories: Interactions) -> Floats:
        """Return (histories, items)."""
        scores = np.full((len(histories), self.n_items), _UNSCORED, dtype=np.float32)
        scores[:, self.chosen] = interaction_matrix(histories, self.n_items)[:, self.chosen] @ self.weights
        return scores


def ease(log: Interactions, n_items: int, penalty: float = PENALTY, most_items: int = MOST_ITEMS) -> Ease:
    """Return EASE, fitted on the `most_items` most frequent items."""
    counts = np.bincount(log.items, minlength=n_items)
    chosen = np.sort(np.argsort(-counts, kind="stable")[:most_items])
    return Ease("ease", log.data_extent, ease_weights(log, n_items, chosen, penalty).numpy(), chosen, n_items)


def ease_weights(log: Interactions, n_items: int, chosen: Integers, penalty: float) -> torch.Tensor:
    """Return (chosen, chosen) float32: weights from an item of a history to a scored item.

    Cholesky in single precision takes a fifth of the time of a general inverse in double precision. It is as accurate
    with a penalty of at least a thousandth of the largest eigenvalue.
    """
    matrix = interaction_matrix(log, n_items)[:, chosen]
    return solve_ease(torch.from_numpy((matrix.T @ matrix).toarray().astype(np.float32)), penalty)


def solve_ease(gram: torch.Tensor, penalty: float) -> torch.Tensor:
    """Return the EASE weights of a Gram matrix (n, n), with a zero diagonal. The matrix is overwritten."""
    gram.diagonal().add_(penalty)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    weights = inverse / -inverse.diagonal()
    weights.fill_diagonal_(0.0)
    return weights


def linear_factors(log: Interactions, n_items: int, rank: int, seed: int) -> tuple[Floats, Floats]:
    """Return the user-side and the item-side factors, both (items, rank).

    A history's vector is the sum of the user-side rows of its distinct items. Its dot product with an item-side row is
    the best approximation of EASE's score at this rank.
    """
    chosen = frequent_items(log, n_items)
    weights = ease_weights(log, n_items, chosen, FACTOR_PENALTY) if rank else torch.empty(0, 0)
    return factorize_weights(weights, chosen, interaction_matrix(log, n_items), rank, seed)


def factorize_weights(
    weights: torch.Tensor, chosen: Integers, histories: csr_matrix, rank: int, seed: int
) -> tuple[Floats, Floats]:
    """Return user-side and item-side factors (items, rank) of `weights` (chosen, chosen); 0 for items not in `chosen`.

    The rows of `weights` are scaled by their items' frequency in `histories` (sequences, items) before the
    factorization. Online Retail's 3,077 items, rank 256, NDCG@10 on validation: .1356 with the scaling, .1347 without,
    .1357 at full rank.
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
    """Return the modelled items, ascending: the MOST_ITEMS most frequent with at least MIN_EVENTS events.

    If no item has that many events, all items with an event qualify.
    """
    counts = np.bincount(log.items, minlength=n_items)
    frequent = int((counts >= MIN_EVENTS).sum()) or int((counts > 0).sum())
    return np.sort(np.argsort(-counts, kind="stable")[: min(MOST_FACTOR_ITEMS, frequent)])


def low_rank(matrix: torch.Tensor, rank: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """Return the truncated SVD: left (n, rank), values (rank,), right (m, rank); Halko et al. 2011, five iterations."""
    generator = torch.Generator().manual_seed(seed)
    width = min(rank + 10, *matrix.shape)
    basis = matrix @ torch.randn(matrix.shape[1], width, generator=generator)
    for _ in range(5):
        basis = matrix @ torch.linalg.qr(matrix.T @ torch.linalg.qr(basis)[0])[0]
    basis = torch.linalg.qr(basis)[0]
    inner, values, right = torch.linalg.svd(basis.T @ matrix, full_matrices=False)
    left = basis @ inner
    return left[:, :rank].numpy(), values[:rank].numpy(), right[:rank].T.numpy()


def basket_weights(log: Interactions, n_items: int, penalty: float) -> tuple[Integers, torch.Tensor]:
    """Return the modelled items (c,), and the weights (c, c) from an item of a basket to the scored item.

    Args:
        penalty: see PENALTY.
    """
    chosen = frequent_items(log, n_items)
    baskets = interaction_matrix(log, n_items)[:, chosen]
    lengths = np.maximum(np.diff(baskets.indptr), 1).astype(np.float32)
    weighted = diags(lengths ** (-LENGTH_POWER / 2)) @ baskets
    gram = torch.from_numpy((weighted.T @ weighted).toarray().astype(np.float32))
    frequency = gram.diagonal().clone()
    gram.diagonal().add_(DROP_RATE / (1 - DROP_RATE) * frequency)
    return chosen, solve_ease(gram, max(penalty * float(frequency.mean()), 1e-6))
