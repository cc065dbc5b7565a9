"""The user tower's inputs from a log: events, attributes and queries of users."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor

from pipeline_tasks.data.interactions import Flags, Floats, Integers, Interactions
from pipeline_tasks.data.profile_values import NO_PROFILE, ProfileValues, fit_profile_values
from pipeline_tasks.models.two_tower.training_windows import gap_buckets
from pipeline_tasks.models.two_tower.two_tower import TwoTower
from pipeline_tasks.models.two_tower.user_tower import whiten_queries

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

    def with_queries_of(self, log: Interactions, encode: Callable[[list[str]], Floats]) -> "UserContent":
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


class UserInputs:
    """The input columns of one log, from which windows are taken."""

    def __init__(self, log: Interactions, model: TwoTower, content: UserContent) -> None:
        self.log, self.model = log, model
        self.gaps = gap_buckets(log, model.config.gap_buckets)
        profiles = np.zeros((len(log), 0), dtype=np.int64)
        if model.profile is not None and log.attributes is not None:
            profiles = content.profile.numbers(log.attributes)
        self.profiles = profiles
        """(n, most) numbers of attributes."""
        self.queries: Tensor | None = None
        """(texts, text) whitened; the first row stands for no query and is 0."""
        if model.queries is not None and log.queries is not None:
            raw = torch.from_numpy(content.queries.of(log.queries.texts)).to(model.device)
            self.queries = whiten_queries(raw, model.whitening_center, model.whitening_map)

    @property
    def has_query(self) -> Flags:
        """(n,) whether a query that the model can read was typed since the last event."""
        if self.queries is None or self.log.queries is None:
            return np.zeros(len(self.log), dtype=np.bool_)
        readable = (self.queries != 0).any(dim=1).cpu().numpy()
        return np.asarray(readable[self.log.queries.last])

    @property
    def has_profile_or_query(self) -> Flags:
        """(n,) whether a user has attributes, or a query since the last event."""
        return np.asarray((self.profiles > 0).any(axis=1) | self.has_query)

    def states(self, windows: Integers, rows: Integers, item_vectors: Tensor, member: int | None = None) -> Tensor:
        """Return (batch, lead + length, d + members x trends): the states of windows.

        The lead, if the model has one, is the state before the first event.

        Args:
            windows: (batch, length) event indices, -1 beyond the end.
            rows: (batch,) the sequence of each window.
            item_vectors: (batch, length, d) of the windows' items.
            member: compute this member alone, from its slice of the item vectors; None for all.
        """
        filled = np.maximum(windows, 0)
        led = None
        if self.queries is not None and self.log.queries is not None:
            led = self.queries[self._tensor(self.log.queries.led[filled])]
        profiles = self._tensor(self.profiles[rows]) if self.model.profile is not None else None
        types, gaps = self._tensor(self.log.types[filled]), self._tensor(self.gaps[filled])
        states: Tensor = self.model(item_vectors, types, gaps, led, profiles, member)
        return states

    def rows_of(self, windows: Integers) -> Integers:
        """Return (batch,) the sequence of each window; a window has at least one event."""
        return np.asarray(np.searchsorted(self.log.offsets, windows[:, 0], side="right") - 1, dtype=np.int64)

    def with_last_queries(self, states: Tensor, numbers: Integers, member: int | None = None) -> Tensor:
        """Return states (n, d + members x trends), or a member's, after the users typed queries.

        `numbers` (n,) are the indices of the queries, 0 for none.
        """
        if self.queries is None or self.model.queries is None:
            return states
        typed: Tensor = self.model.queries.last(self.queries[self._tensor(numbers)])
        return states + self.model.state_of_member(typed, member)

    def _tensor(self, values: Integers) -> Tensor:
        return torch.from_numpy(values).to(self.model.device)
