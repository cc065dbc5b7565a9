"""What shoppers' attributes say, as rows of an embedding table: one row per name=value that enough shoppers share."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline_tasks.interactions import Integers

BUCKETS: Final = 8
"""Numbers are told apart by as many quantiles at most."""


@dataclass(frozen=True)
class ProfileValues:
    """Vocabulary of the profile: p name=value pairs and, for attributes that are numbers, where buckets begin."""

    pairs: list[str]
    """Length p, sorted: 'country=DE', or 'age#3' for the bucket of a number."""
    edges: dict[str, list[float]]
    """Attribute -> ascending inner edges of its buckets; value v is in bucket #(edges <= v)."""

    def encode(self, attributes: Iterable[str | None]) -> tuple[Integers, Integers]:
        """Return (values,) rows of the table and (n + 1,) offsets, of n JSON objects; unknown pairs are left out."""
        places = {pair: place for place, pair in enumerate(self.pairs)}
        bags = [
            [places[pair] for pair in (self._pair(*one) for one in _said(text).items()) if pair in places]
            for text in attributes
        ]
        offsets = np.concatenate([[0], np.cumsum([len(bag) for bag in bags])]).astype(np.int64)
        return np.array([place for bag in bags for place in bag], dtype=np.int64), offsets

    def _pair(self, name: str, value: str) -> str:
        number = _number(value)
        if name in self.edges and number is not None:
            return f"{name}#{np.searchsorted(self.edges[name], number, side='right')}"
        return f"{name}={value}"


def fit_profile_values(attributes: list[str | None], least: int, names: list[str] | None = None) -> ProfileValues:
    """Return the pairs that at least `least` of the shoppers (JSON objects) have.

    Args:
        attributes: of the shoppers of train only: what only a later shopper says must not shape the model.
        names: the attributes that may be used; None for all, [] for none.
    """
    said = [_said(text) for text in attributes]
    allowed = {name for one in said for name in one if names is None or name in names}
    edges = {name: found for name in sorted(allowed) if (found := _edges([one[name] for one in said if name in one]))}
    draft = ProfileValues([], edges)
    counts = Counter(draft._pair(name, value) for one in said for name, value in one.items() if name in allowed)
    return ProfileValues(sorted(pair for pair, count in counts.items() if count >= least), edges)


def _edges(values: list[str]) -> list[float]:
    """Return quantiles of an attribute whose values are all numbers, more of them than buckets; else nothing."""
    numbers = [number for value in values if (number := _number(value)) is not None]
    if len(numbers) < len(values) or len(set(numbers)) <= BUCKETS:
        return []
    inner = np.quantile(numbers, np.arange(1, BUCKETS) / BUCKETS)
    return [float(edge) for edge in np.unique(inner)]


def _said(text: str | None) -> dict[str, str]:
    said = json.loads(text) if text else {}
    return {name: str(value) for name, value in said.items() if value not in (None, "")}


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None
