"""What a model knows of users beside their events: the vocabulary of their profiles, and the vectors of queries."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import Flags, Floats, Integers, Interactions
from pipeline_tasks.data.profile_values import NO_PROFILE, ProfileValues, fit_profile_values

MAX_QUERIES: Final = 200_000
"""Distinct queries that a model reads, those of most histories: 300 MB of vectors of width 384."""
SHARED_BY: Final = 2
"""A query of fewer histories could give somebody away: it is read, but not kept with the model."""


@dataclass(frozen=True)
class QueryVectors:
    """Queries as the text encoder reads them, each once."""

    texts: list[str]
    raw: Floats
    """(queries, width of the encoder)."""
    shared: Flags
    """(queries,) whether it may be kept with the model."""

    @property
    def are_used(self) -> bool:
        """Whether a model of these reads queries at all; it may, and keep none."""
        return int(self.raw.shape[1]) > 0

    def of(self, texts: Sequence[str]) -> Floats:
        """Return (texts, width), NaN for a text that is not among these."""
        places = {text: place for place, text in enumerate(self.texts)}
        table = np.concatenate([self.raw, np.full((1, self.raw.shape[1]), np.nan, dtype=np.float32)])
        return np.asarray(table[[places.get(text, len(self.texts)) for text in texts]], dtype=np.float32)

    def joined(self, more: "QueryVectors") -> "QueryVectors":
        """Return these and `more`, which are others."""
        raw, shared = np.concatenate([self.raw, more.raw]), np.concatenate([self.shared, more.shared])
        return QueryVectors([*self.texts, *more.texts], raw, shared)

    def kept(self) -> "QueryVectors":
        """Return those that may be kept."""
        texts = [text for text, shared in zip(self.texts, self.shared, strict=True) if shared]
        return QueryVectors(texts, self.raw[self.shared], self.shared[self.shared])


NO_QUERIES: Final = QueryVectors([], np.zeros((0, 0), dtype=np.float32), np.zeros(0, dtype=np.bool_))


@dataclass(frozen=True)
class UserContent:
    """Both; nothing where the log says nothing of the kind, and then the model has no weights for it."""

    profile: ProfileValues = NO_PROFILE
    queries: QueryVectors = NO_QUERIES

    def knowing(self, log: Interactions, encode: Callable[[list[str]], Floats]) -> "UserContent":
        """Return it with all queries of `log`: those that are new are encoded. A model that reads none stays so."""
        if log.queries is None or not self.queries.are_used:
            return self
        known = set(self.queries.texts)
        asked, shared = frequent_queries(log)
        new = [place for place, text in enumerate(asked) if text not in known]
        if not new:
            return self
        texts = [asked[place] for place in new]
        return replace(self, queries=self.queries.joined(QueryVectors(texts, encode(texts), shared[new])))


NOTHING: Final = UserContent()


def frequent_queries(log: Interactions) -> tuple[list[str], Flags]:
    """Return at most MAX_QUERIES of the log's queries, and whether enough histories hold each for it to be kept."""
    if log.queries is None:
        return [], NO_QUERIES.shared
    rows = np.concatenate([log.rows, np.arange(len(log))])
    counts = _histories(rows, np.concatenate([log.queries.led, log.queries.last]), len(log.queries.texts))
    chosen = np.sort(np.argsort(-counts, kind="stable")[:MAX_QUERIES])
    chosen = chosen[counts[chosen] > 0]
    return [log.queries.texts[number] for number in chosen], counts[chosen] >= SHARED_BY


def fit_user_content(known: Interactions, raw_queries: Floats, names: Sequence[str] | None) -> UserContent:
    """Return what the users of train say.

    Args:
        raw_queries: (queries, width), of the texts of `frequent_queries(known)`; () of width 0 where they are not read.
        names: attributes that may be used, None for all (see `fit_profile_values`).
    """
    texts, shared = frequent_queries(known)
    queries = QueryVectors(texts, raw_queries, shared) if len(raw_queries) else NO_QUERIES
    said = [one for one, events in zip(known.attributes or [], known.lengths, strict=False) if events]
    return UserContent(fit_profile_values(said, names), queries)


def _histories(rows: Integers, numbers: Integers, texts: int) -> Integers:
    """Return (texts,) in how many rows each number stands; 0 for number 0, which is none."""
    pairs = np.unique(rows[numbers > 0] * texts + numbers[numbers > 0])
    return np.bincount(pairs % texts, minlength=texts).astype(np.int64)
