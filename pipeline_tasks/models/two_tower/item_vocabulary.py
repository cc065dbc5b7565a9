"""The structured values of items that a model has a vector for: those that items shared when it was fitted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import Integers

MAX_VALUES: Final = 50_000
"""Those that most items have; each is a vector to learn."""
MAX_VALUES_PER_ITEM: Final = 32
"""Values of one item that count: the first, so that the catalog's table stays narrow."""


@dataclass(frozen=True)
class ItemVocabulary:
    """Values in the order of their numbers, from 1; 0 stands for none."""

    values: list[str]

    def __len__(self) -> int:
        return len(self.values)

    def numbers(self, items: Sequence[Sequence[str]]) -> Integers:
        """Return (items, most values of an item): the numbers of each item's values, 0 where it has no more.

        Values that were not there at fitting are left out.
        """
        numbers = {value: number for number, value in enumerate(self.values, start=1)}
        known = [[numbers[value] for value in own if value in numbers][:MAX_VALUES_PER_ITEM] for own in items]
        table = np.zeros((len(items), max(map(len, known), default=0)), dtype=np.int64)
        for row, own in enumerate(known):
            table[row, : len(own)] = own
        return table


def fit_vocabulary(items: Sequence[Sequence[str]]) -> ItemVocabulary:
    """Return the values that two or more of `items` have, but not all: one item's own, or everybody's, say nothing."""
    counts = Counter(value for values in items for value in values)
    telling = [value for value, count in counts.items() if 1 < count < len(items)]
    return ItemVocabulary(sorted(sorted(telling, key=lambda value: (-counts[value], value))[:MAX_VALUES]))
