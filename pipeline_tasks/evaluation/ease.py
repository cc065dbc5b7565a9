"""EASE (Steck 2019, eq. 8): a ridge regression of every item on all others, in closed form.

It is a baseline, and the core of the item-to-item part of the model.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from pipeline_tasks.data.interactions import DataExtent, Floats, Integers, Interactions
from pipeline_tasks.evaluation.ranking_task import interaction_matrix

PENALTY: Final = 250.0
MOST_ITEMS: Final = 10_000
"""Memory grows with the square of the items, time with the cube. 10,000 items need 1.2 GB, 40,000 would need 20 GB."""
_UNSCORED: Final = -1e3
"""Below every score."""


@dataclass(frozen=True)
class Ease:
    """A scorer by the sum of weights from each distinct item of the history to the scored item.

    Items that are not in `chosen` come last.
    """

    name: str
    evidence: DataExtent
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
    return Ease("ease", log.evidence, ease_weights(log, n_items, chosen, penalty).numpy(), chosen, n_items)


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
