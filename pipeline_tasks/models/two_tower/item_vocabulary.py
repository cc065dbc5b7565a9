"""The vocabulary of structured item values that a model has embeddings for."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import Integers

MAX_VALUES: Final = 50_000
"""Maximum size of the vocabulary; the most frequent values are kept."""
MAX_VALUES_PER_ITEM: Final = 32
"""Maximum number of values of one item; the first ones are kept, which bounds the width of the table."""


@dataclass(frozen=True)
class ItemVocabulary:
    """The values in the order of their numbers, which start at 1; 0 means none."""

    values: list[str]

    def __len__(self) -> int:
        return len(self.values)

    def numbers(self, items: Sequence[Sequence[str]]) -> Integers:
        """Return (items, most values of an item): the numbers of each item's values, 0 where it has no more.

        Values that are not in the vocabulary are left out.
        """
        numbers = {value: number for number, value in enumerate(self.values, start=1)}
        known = [[numbers[value] for value in own if value in numbers][:MAX_VALUES_PER_ITEM] for own in items]
        table = np.zeros((len(items), max(map(len, known), default=0)), dtype=np.int64)
        for row, own in enumerate(known):
            table[row, : len(own)] = own
        return table


def fit_vocabulary(items: Sequence[Sequence[str]]) -> ItemVocabulary:
    """Return the vocabulary of the values that at least two, but not all, of `items` have."""
    counts = Counter(value for values in items for value in values)
    shared = [value for value, count in counts.items() if 1 < count < len(items)]
    return ItemVocabulary(sorted(sorted(shared, key=lambda value: (-counts[value], value))[:MAX_VALUES]))
