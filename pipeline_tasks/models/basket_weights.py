"""What completes a basket: a ridge regression of every item on the others of its basket, held back where it is sure.

EDLAE (Steck 2020, Autoencoders that don't overfit towards the Identity) at full rank: an item is left out of its basket
with some probability, which is a penalty that grows with how often the item is bought. And a basket of a hundred lines,
whose pairs are ten thousand, counts by the root of its length. Online Retail's 17,488 invoices, the line left out of
5,000 of them, NDCG@10 on validation: EASE .1986, with the probability .2010, with both .2033.
"""

from typing import Final

import numpy as np
import torch
from scipy.sparse import diags

from pipeline_tasks.data.interactions import Integers, Interactions
from pipeline_tasks.evaluation.ease import solve_ease
from pipeline_tasks.evaluation.ranking_task import matrix_of
from pipeline_tasks.models.item_to_item_factors import frequent_items

PENALTY: Final = 0.3
"""Of the mean of the Gram matrix' diagonal, where none is chosen."""
DROP_RATE: Final = 0.15
"""Probability. .05 is as good with the penalty .3, worse with less; .5 and more is worse than none."""
LENGTH_POWER: Final = 0.5
"""Of a basket's length that its pairs are divided by: .25 .2024, .5 .2033, .75 .2004, 1 .193."""


def basket_weights(log: Interactions, n_items: int, penalty: float) -> tuple[Integers, torch.Tensor]:
    """Return the items that take part (c,), and (c, c) from an item of a basket to the item that is scored.

    Args:
        penalty: see PENALTY.
    """
    chosen = frequent_items(log, n_items)
    baskets = matrix_of(log, n_items)[:, chosen]
    lengths = np.maximum(np.diff(baskets.indptr), 1).astype(np.float32)
    weighed = diags(lengths ** (-LENGTH_POWER / 2)) @ baskets
    gram = torch.from_numpy((weighed.T @ weighed).toarray().astype(np.float32))
    often = gram.diagonal().clone()
    gram.diagonal().add_(DROP_RATE / (1 - DROP_RATE) * often)
    return chosen, solve_ease(gram, max(penalty * float(often.mean()), 1e-6))
