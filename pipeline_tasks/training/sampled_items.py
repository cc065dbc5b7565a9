"""Which items a step of stage 2 computes where the catalog is too large for all of them (sampled softmax).

The softmax's sum over the catalog is estimated in two strata. Items of the batch itself (histories and answers) count
as they are. The rest is estimated from negatives that the whole batch shares, drawn by smoothed popularity Q: an item
drawn c times among m stands for c / (m Q) of itself, which is added to its logit as a logarithm (logQ correction:
Bengio and Senecal 2008; Yi et al. 2019). So the estimated sum is unbiased, an answer that is drawn by accident is not
counted twice, and an answer's own logit needs no correction: it is there with certainty, not with probability Q.
"""

from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import Floats, Integers, Interactions

SMOOTHING: Final = 0.75
"""Power of an item's count: bestsellers are in most batches anyway (Mikolov et al. 2013 for the figure)."""


class SampledItems:
    """Draws the items of steps from a catalog of n items."""

    def __init__(self, log: Interactions, n_items: int, negatives: int) -> None:
        # Plus one: items without an event are negatives too, as they are in the full softmax.
        mass = (np.bincount(log.items, minlength=n_items) + 1.0) ** SMOOTHING
        self.negatives = negatives
        self.shares = mass / mass.sum()
        self.cumulated = np.cumsum(self.shares)

    def draw(self, needed: Integers, rng: np.random.Generator) -> tuple[Integers, Floats]:
        """Return (k,) items in ascending order, `needed` (in any order) among them, and what is added to their logits.

        Costs the negatives times log n.
        """
        drawn = np.searchsorted(self.cumulated, rng.random(self.negatives) * self.cumulated[-1], side="right")
        drawn, times = np.unique(drawn.clip(max=len(self.shares) - 1), return_counts=True)
        needed = np.unique(needed)
        rest = ~np.isin(drawn, needed, assume_unique=True)
        stands_for = np.log(times[rest] / (self.negatives * self.shares[drawn[rest]]))
        items = np.concatenate([needed, drawn[rest]])
        order = np.argsort(items)
        offsets = np.concatenate([np.zeros(len(needed)), stands_for])[order]
        return items[order].astype(np.int64), offsets.astype(np.float32)
