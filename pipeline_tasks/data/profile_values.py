"""What users' attributes say, as rows of an embedding table: one row per name=value that enough users share."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import Integers

BUCKETS: Final = 8
"""Numbers are told apart by as many quantiles at most."""
MOST_CODES: Final = 50
"""An attribute of numbers with as many different ones at most names categories (MovieLens' 21 occupations)."""
SHARED_BY: Final = 20
"""Users who must say the same for it to be learned: of fewer, it would be them that are learned."""


@dataclass(frozen=True)
class ProfileValues:
    """Vocabulary of the profile: name=value pairs and, for attributes that are numbers, where buckets begin."""

    pairs: list[str]
    """In the order of their numbers, from 1; 0 is none. 'country=DE', or 'age#3' for the bucket of a number."""
    edges: dict[str, list[float]]
    """Attribute -> ascending inner edges of its buckets; value v is in bucket #(edges <= v)."""

    def __len__(self) -> int:
        return len(self.pairs)

    def numbers(self, attributes: Sequence[str | None]) -> Integers:
        """Return (n, most pairs of a user): the numbers of n users' pairs (JSON objects), 0 where there are no
        more. Pairs that are not in the vocabulary are left out."""
        places = {pair: place for place, pair in enumerate(self.pairs, start=1)}
        # Many users say the same.
        bags = {
            text: [places[pair] for pair in (self._pair(*one) for one in _said(text)) if pair in places]
            for text in set(attributes)
        }
        table = np.zeros((len(attributes), max(map(len, bags.values()), default=0)), dtype=np.int64)
        for row, text in enumerate(attributes):
            table[row, : len(bags[text])] = bags[text]
        return table

    def by_name(self, attributes: str | None) -> dict[str, str]:
        """Return attribute -> the first of its pairs that a user has (a JSON object) and the vocabulary knows."""
        known = set(self.pairs)
        found: dict[str, str] = {}
        for name, value in _said(attributes):
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
    """Return the pairs that at least `least` of the users have, but not all of them.

    Args:
        attributes: JSON objects of the users of train only: what a later user says must not shape the model.
        names: the attributes that may be used; None for all, [] for none.
    """
    said = [[(name, value) for name, value in _said(text) if names is None or name in names] for text in attributes]
    values: dict[str, list[str]] = {}
    for name, value in (one for own in said for one in own):
        values.setdefault(name, []).append(value)
    edges = {name: found for name, given in sorted(values.items()) if (found := _edges(given))}
    draft = ProfileValues([], edges)
    counts = Counter(pair for own in said for pair in {draft._pair(*one) for one in own})
    return ProfileValues(sorted(pair for pair, count in counts.items() if least <= count < len(said)), edges)


def _edges(values: list[str]) -> list[float]:
    """Return quantiles of an attribute whose values are all numbers, and many different ones; else nothing."""
    numbers = [number for value in values if (number := _number(value)) is not None]
    if len(numbers) < len(values) or len(set(numbers)) <= MOST_CODES:
        return []
    inner = np.quantile(numbers, np.arange(1, BUCKETS) / BUCKETS)
    return [float(edge) for edge in np.unique(inner)]


def _said(text: str | None) -> list[tuple[str, str]]:
    """Return name and value of all that a JSON object says, one for each value of a list."""
    said = json.loads(text) if text else {}
    each = ((name, one) for name, given in said.items() for one in (given if isinstance(given, list) else [given]))
    return [(name, str(value)) for name, value in each if value not in (None, "")]


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None
