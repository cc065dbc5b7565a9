"""What the user tower reads of a log, as tensors: items, event types, time gaps, and where it reads them, the queries
that led to the events and what users say of themselves."""

import numpy as np
import torch
from torch import Tensor

from pipeline_tasks.data.interactions import Flags, Integers, Interactions
from pipeline_tasks.models.two_tower.training_windows import gap_buckets
from pipeline_tasks.models.two_tower.two_tower import TwoTower
from pipeline_tasks.models.two_tower.user_content import UserContent
from pipeline_tasks.models.two_tower.user_modules import whiten_queries


class UserInputs:
    """Holds the columns of one log, and cuts windows out of them."""

    def __init__(self, log: Interactions, model: TwoTower, content: UserContent) -> None:
        self.log, self.model = log, model
        self.gaps = gap_buckets(log, model.config.gap_buckets)
        profiles = np.zeros((len(log), 0), dtype=np.int64)
        if model.profile is not None and log.attributes is not None:
            profiles = content.profile.numbers(log.attributes)
        self.profiles = profiles
        """(n, most) numbers of attributes."""
        self.queries: Tensor | None = None
        """(texts, text) whitened; the first is none, and 0."""
        if model.queries is not None and log.queries is not None:
            raw = torch.from_numpy(content.queries.of(log.queries.texts)).to(model.device)
            self.queries = whiten_queries(raw, model.whitening_center, model.whitening_map)

    @property
    def typed(self) -> Flags:
        """(n,) whether something that can be read was typed since the last event."""
        if self.queries is None or self.log.queries is None:
            return np.zeros(len(self.log), dtype=np.bool_)
        readable = (self.queries != 0).any(dim=1).cpu().numpy()
        return np.asarray(readable[self.log.queries.last])

    @property
    def has_profile_or_query(self) -> Flags:
        """(n,) whether something is known of a user without any event: attributes, or what was typed last."""
        return np.asarray((self.profiles > 0).any(axis=1) | self.typed)

    def states(self, windows: Integers, rows: Integers, item_vectors: Tensor, member: int | None = None) -> Tensor:
        """Return (batch, lead + length, d + members x trends): the states of windows (batch, length) of event indices,
        -1 beyond the end, of the sequences `rows` (batch,); item_vectors (batch, length, d) are those of the windows'
        items. Of one member, where one is named, both are its part alone.

        The lead, where the model has one, is the state before the first event.
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
        """Return (batch,) the sequence of each window of one event or more."""
        return np.asarray(np.searchsorted(self.log.offsets, windows[:, 0], side="right") - 1, dtype=np.int64)

    def asking(self, states: Tensor, numbers: Integers, member: int | None = None) -> Tensor:
        """Return states (n, d + members x trends), or a member's, of users who have typed the queries `numbers`
        (n,), 0 for none, since."""
        if self.queries is None or self.model.queries is None:
            return states
        typed: Tensor = self.model.queries.last(self.queries[self._tensor(numbers)])
        return states + self.model.state_of_member(typed, member)

    def _tensor(self, values: Integers) -> Tensor:
        return torch.from_numpy(values).to(self.model.device)
