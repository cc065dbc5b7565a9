"""The rows of the item table that one step of training touches."""

from typing import NamedTuple

import numpy as np
from torch import Tensor

from pipeline_tasks.data.interactions import Integers


class StepTable(NamedTuple):
    """The items that one step is computed with."""

    vectors: Tensor
    """(k, d)"""
    items: Integers | None
    """(k,) in ascending order; None for the whole catalog."""
    levels: Tensor | None
    """(moments, k, h) trends, None where there are none."""
    offsets: Tensor | None
    """(k,) added to the logits; None for the whole catalog."""

    def rows(self, items: Integers) -> Integers:
        """Return where items of the catalog lie in the table."""
        return items if self.items is None else np.searchsorted(self.items, items)
