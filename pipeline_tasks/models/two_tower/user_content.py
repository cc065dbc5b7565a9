"""Inputs about users beside their events: the vocabulary of their attributes, and the vectors of their queries."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import Flags, Floats, Integers, Interactions
from pipeline_tasks.data.profile_values import NO_PROFILE, ProfileValues, fit_profile_values

MAX_QUERIES: Final = 200_000
"""Maximum number of distinct queries, the most frequent first: 300 MB of vectors of width 384."""
SHARED_BY: Final = 2
"""Minimum number of histories with a query to save it with the model; rarer queries could identify a user."""


@dataclass(frozen=True)
class QueryVectors:
    """Distinct queries with their vectors by the text encoder."""

    texts: list[str]
    raw: Floats
    """(queries, width of the encoder)."""
    shared: Flags
    """(queries,) whether the query may be saved with the model."""

    @property
    def are_used(self) -> bool:
        """Whether the model reads queries; true even if none of them may be saved."""
        return int(self.raw.shape[1]) > 0

    def of(self, texts: Sequence[str]) -> Floats:
        """Return (texts, width) vectors, NaN for an unknown text."""
        places = {text: place for place, text in enumerate(self.texts)}
        table = np.concatenate([self.raw, np.full((1, self.raw.shape[1]), np.nan, dtype=np.float32)])
        return np.asarray(table[[places.get(text, len(self.texts)) for text in texts]], dtype=np.float32)

    def joined(self, more: "QueryVectors") -> "QueryVectors":
        """Return these queries followed by `more`, which must be distinct from them."""
        raw, shared = np.concatenate([self.raw, more.raw]), np.concatenate([self.shared, more.shared])
        return QueryVectors([*self.texts, *more.texts], raw, shared)

    def kept(self) -> "QueryVectors":
        """Return the queries that may be saved."""
        texts = [text for text, shared in zip(self.texts, self.shared, strict=True) if shared]
        return QueryVectors(texts, self.raw[self.shared], self.shared[self.shared])


NO_QUERIES: Final = QueryVectors([], np.zeros((0, 0), dtype=np.float32), np.zeros(0, dtype=np.bool_))


@dataclass(frozen=True)
class UserContent:
    """Profiles and queries; the model has no weights for those that the log lacks."""

    profile: ProfileValues = NO_PROFILE
    queries: QueryVectors = NO_QUERIES

    def knowing(self, log: Interactions, encode: Callable[[list[str]], Floats]) -> "UserContent":
        """Return the content with all queries of `log`; new ones are encoded. Unchanged if queries are not read."""
        if log.queries is None or not self.queries.are_used:
            return self
        known = set(self.queries.texts)
        queries, shared = frequent_queries(log)
        new = [place for place, text in enumerate(queries) if text not in known]
        if not new:
            return self
        texts = [queries[place] for place in new]
        return replace(self, queries=self.queries.joined(QueryVectors(texts, encode(texts), shared[new])))


NOTHING: Final = UserContent()


def frequent_queries(log: Interactions) -> tuple[list[str], Flags]:
    """Return the most frequent queries of the log, at most MAX_QUERIES, and whether each may be saved (SHARED_BY)."""
    if log.queries is None:
        return [], NO_QUERIES.shared
    rows = np.concatenate([log.rows, np.arange(len(log))])
    counts = _histories(rows, np.concatenate([log.queries.led, log.queries.last]), len(log.queries.texts))
    chosen = np.sort(np.argsort(-counts, kind="stable")[:MAX_QUERIES])
    chosen = chosen[counts[chosen] > 0]
    return [log.queries.texts[number] for number in chosen], counts[chosen] >= SHARED_BY


def fit_user_content(known: Interactions, raw_queries: Floats, names: Sequence[str] | None) -> UserContent:
    """Return the content of the users of the training events.

    Args:
        raw_queries: (queries, width) vectors of `frequent_queries(known)`; no rows if queries are not read.
        names: attributes that may be used, None for all (see `fit_profile_values`).
    """
    texts, shared = frequent_queries(known)
    queries = QueryVectors(texts, raw_queries, shared) if len(raw_queries) else NO_QUERIES
    attributes = [one for one, events in zip(known.attributes or [], known.lengths, strict=False) if events]
    return UserContent(fit_profile_values(attributes, names), queries)


def _histories(rows: Integers, numbers: Integers, texts: int) -> Integers:
    """Return (texts,) the number of rows with each number; 0 for the number 0, which means none."""
    pairs = np.unique(rows[numbers > 0] * texts + numbers[numbers > 0])
    return np.bincount(pairs % texts, minlength=texts).astype(np.int64)
