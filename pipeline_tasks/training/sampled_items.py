"""Samples the items of a step of stage 2 for large catalogs (sampled softmax).

The softmax's sum over the catalog is estimated in two strata. Items of the batch itself (histories and targets) have
weight 1. The rest is estimated from negatives that the whole batch shares, drawn by smoothed popularity Q. An item
drawn c times among m has weight c / (m Q), which is added to its logit as a logarithm (logQ correction: Bengio and
Senecal 2008; Yi et al. 2019). The estimated sum is therefore unbiased, and a target that is also drawn is not counted
twice. The logit of a target needs no correction, because the target is always included.
"""

from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import Floats, Integers, Interactions

SMOOTHING: Final = 0.75
"""Power of an item's count (Mikolov et al. 2013); bestsellers are in most batches anyway."""


class SampledItems:
    """Samples the items of each step from a catalog of n items."""

    def __init__(self, log: Interactions, n_items: int, negatives: int) -> None:
        # Plus one, so that items without an event are negatives too, as in the full softmax.
        mass = (np.bincount(log.items, minlength=n_items) + 1.0) ** SMOOTHING
        self.negatives = negatives
        self.shares = mass / mass.sum()
        self.cumulated = np.cumsum(self.shares)

    def draw(self, needed: Integers, rng: np.random.Generator) -> tuple[Integers, Floats]:
        """Return (k,) items in ascending order, which include `needed`, and (k,) offsets to add to their logits.

        The cost is the number of negatives times log n.
        """
        drawn = np.searchsorted(self.cumulated, rng.random(self.negatives) * self.cumulated[-1], side="right")
        drawn, times = np.unique(drawn.clip(max=len(self.shares) - 1), return_counts=True)
        needed = np.unique(needed)
        rest = ~np.isin(drawn, needed, assume_unique=True)
        corrections = np.log(times[rest] / (self.negatives * self.shares[drawn[rest]]))
        items = np.concatenate([needed, drawn[rest]])
        order = np.argsort(items)
        offsets = np.concatenate([np.zeros(len(needed)), corrections])[order]
        return items[order].astype(np.int64), offsets.astype(np.float32)
