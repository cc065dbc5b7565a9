"""EASE (Steck 2019, eq. 8), a ridge regression of every item on all others in closed form: a peer, and the kernel of
the collaborative part."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from pipeline_tasks.data.interactions import DataExtent, Floats, Integers, Interactions
from pipeline_tasks.evaluation.ranking_task import matrix_of

PENALTY: Final = 250.0
MOST_ITEMS: Final = 10_000
"""Memory grows with the square of the items, time with the cube: 10,000 want 1.2 GB, 40,000 would want 20 GB."""
_UNSCORED: Final = -1e3
"""Below every score."""


@dataclass(frozen=True)
class Ease:
    """The sum, over the distinct items of the history, of their weight for each item; items left out come last."""

    name: str
    evidence: DataExtent
    weights: Floats
    """(chosen, chosen): from an item of the history to the item scored."""
    chosen: Integers
    n_items: int

    def scores(self, histories: Interactions) -> Floats:
        """Return (histories, items)."""
        scores = np.full((len(histories), self.n_items), _UNSCORED, dtype=np.float32)
        scores[:, self.chosen] = matrix_of(histories, self.n_items)[:, self.chosen] @ self.weights
        return scores


def ease(log: Interactions, n_items: int, penalty: float = PENALTY, most_items: int = MOST_ITEMS) -> Ease:
    """Fit on the `most_items` items wanted most."""
    counts = np.bincount(log.items, minlength=n_items)
    chosen = np.sort(np.argsort(-counts, kind="stable")[:most_items])
    return Ease("ease", log.evidence, ease_weights(log, n_items, chosen, penalty).numpy(), chosen, n_items)


def ease_weights(log: Interactions, n_items: int, chosen: Integers, penalty: float) -> torch.Tensor:
    """Return (chosen, chosen) float32, from an item of a history to a scored one.

    In single precision by Cholesky: a fifth of the time of a general inverse in double, and as good with a penalty
    that is no smaller than a thousandth of the largest eigenvalue.
    """
    matrix = matrix_of(log, n_items)[:, chosen]
    return solve_ease(torch.from_numpy((matrix.T @ matrix).toarray().astype(np.float32)), penalty)


def solve_ease(gram: torch.Tensor, penalty: float) -> torch.Tensor:
    """Return EASE's weights of a Gram matrix (n, n), which is overwritten; nothing on the diagonal."""
    gram.diagonal().add_(penalty)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    weights = inverse / -inverse.diagonal()
    weights.fill_diagonal_(0.0)
    return weights
