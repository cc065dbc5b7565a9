"""Users' attributes as rows of an embedding table: one row for each name=value pair that enough users share."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import Integers

BUCKETS: Final = 8
"""A numeric attribute is cut into this many quantile buckets at most."""
MOST_CODES: Final = 50
"""A numeric attribute with this many distinct values at most is categorical, like MovieLens' 21 occupations."""
SHARED_BY: Final = 20
"""Users who must share a pair for it to be learned. With fewer, a model would learn about single users."""


@dataclass(frozen=True)
class ProfileValues:
    """Vocabulary of user attributes: name=value pairs and, for numeric attributes, the edges of the buckets."""

    pairs: list[str]
    """Pairs by number, from 1 on; 0 stands for no pair. Like 'country=DE', or 'age#3' for bucket 3 of a number."""
    edges: dict[str, list[float]]
    """Attribute -> ascending inner edges of its buckets. A value's bucket is the number of edges at or below it."""

    def __len__(self) -> int:
        return len(self.pairs)

    def numbers(self, attributes: Sequence[str | None]) -> Integers:
        """Return (n, most pairs of a user): the numbers of each user's pairs, padded with 0.

        `attributes` holds n JSON objects. Pairs outside the vocabulary are left out.
        """
        places = {pair: place for place, pair in enumerate(self.pairs, start=1)}
        # Many users have equal attributes.
        bags = {
            text: [places[pair] for pair in (self._pair(name, value) for name, value in _pairs(text)) if pair in places]
            for text in set(attributes)
        }
        table = np.zeros((len(attributes), max(map(len, bags.values()), default=0)), dtype=np.int64)
        for row, text in enumerate(attributes):
            table[row, : len(bags[text])] = bags[text]
        return table

    def by_name(self, attributes: str | None) -> dict[str, str]:
        """Return attribute -> the first of a user's pairs that is in the vocabulary. `attributes` is a JSON object."""
        known = set(self.pairs)
        found: dict[str, str] = {}
        for name, value in _pairs(attributes):
            if (pair := self._pair(name, value)) in known:
                found.setdefault(name, pair)
        return found

    def _pair(self, name: str, value: str) -> str:
        number = _number(value)
        if name in self.edges and number is not None:
            return f"{name}#{np.searchsorted(self.edges[name], number, side='right')}"
        return f"{name}={value}"


NO_PROFILE: Final = ProfileValues([], {})


def fit_profile_values(
    attributes: Sequence[str | None], names: Sequence[str] | None = None, least: int = SHARED_BY
) -> ProfileValues:
    """Return the vocabulary: the pairs that at least `least` of the users have, but not all of them.

    Args:
        attributes: JSON objects of the users of train only, because later users must not shape the model.
        names: the attributes that may be used; None for all, [] for none.
    """
    users = [[(name, value) for name, value in _pairs(text) if names is None or name in names] for text in attributes]
    values: dict[str, list[str]] = {}
    for name, value in (pair for own in users for pair in own):
        values.setdefault(name, []).append(value)
    edges = {name: found for name, given in sorted(values.items()) if (found := _edges(given))}
    draft = ProfileValues([], edges)
    counts = Counter(pair for own in users for pair in {draft._pair(name, value) for name, value in own})
    return ProfileValues(sorted(pair for pair, count in counts.items() if least <= count < len(users)), edges)


def _edges(values: list[str]) -> list[float]:
    """Return the quantiles of an attribute with many distinct values, all of them numbers; else none."""
    numbers = [number for value in values if (number := _number(value)) is not None]
    if len(numbers) < len(values) or len(set(numbers)) <= MOST_CODES:
        return []
    inner = np.quantile(numbers, np.arange(1, BUCKETS) / BUCKETS)
    return [float(edge) for edge in np.unique(inner)]


def _pairs(text: str | None) -> list[tuple[str, str]]:
    """Return the (name, value) pairs of a JSON object, one for each element of a list, without empty values."""
    attributes = json.loads(text) if text else {}
    lists = ((name, given if isinstance(given, list) else [given]) for name, given in attributes.items())
    return [(name, str(value)) for name, values in lists for value in values if value not in (None, "")]


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None
