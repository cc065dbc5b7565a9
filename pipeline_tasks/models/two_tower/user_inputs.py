"""The user tower's inputs from a log, as tensors: items, event types, time gaps, queries and user attributes."""

import numpy as np
import torch
from torch import Tensor

from pipeline_tasks.data.interactions import Flags, Integers, Interactions
from pipeline_tasks.models.two_tower.training_windows import gap_buckets
from pipeline_tasks.models.two_tower.two_tower import TwoTower
from pipeline_tasks.models.two_tower.user_content import UserContent
from pipeline_tasks.models.two_tower.user_modules import whiten_queries


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
