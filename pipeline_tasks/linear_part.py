"""The collaborative part of the model, of one of two kinds; both are sums over a history, and one dot product."""

from typing import Literal

from scipy.sparse import csr_matrix

from pipeline_tasks.interactions import Floats, Interactions
from pipeline_tasks.item_to_item import recent_items
from pipeline_tasks.linear_factors import linear_factors
from pipeline_tasks.ranking_task import matrix_of
from pipeline_tasks.sequence_factors import sequence_factors

LinearKind = Literal["set", "sequence"]
"""What a history is to it: a set of items (EASE), or a sequence whose latest counts most (item-to-item)."""


def fit_linear_part(kind: LinearKind, log: Interactions, n_items: int, rank: int, seed: int) -> tuple[Floats, Floats]:
    """Return (items, rank) twice: what an item of a history holds, and what an item is scored by; 0 wide for rank 0."""
    fit = sequence_factors if kind == "sequence" and rank else linear_factors
    return fit(log, n_items, rank, seed)


def history_weights(kind: LinearKind, histories: Interactions, n_items: int) -> csr_matrix:
    """Return (histories, items): how much each item of a history counts."""
    return recent_items(histories, n_items) if kind == "sequence" else matrix_of(histories, n_items)
