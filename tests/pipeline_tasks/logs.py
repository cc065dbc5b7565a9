"""Logs of literal or random histories, for tests."""

import numpy as np

from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.tables.contracts import CHOSEN_TYPES
from pipeline_tasks.times import DAY


def log_of(histories: dict[str, list[tuple[int, int]]], kind: str = "purchase") -> Interactions:
    """Return the log of key -> [(item, day), …], all events of one type."""
    rows = list(histories.values())
    events = [event for row in rows for event in row]
    return Interactions(
        list(histories),
        np.array([not key.startswith("session:") for key in histories]),
        np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64),
        np.array([item for item, _ in events], dtype=np.int64),
        np.full(len(events), CHOSEN_TYPES.index(kind), dtype=np.int64),
        np.array([day * DAY for _, day in events], dtype=np.int64),
    )


def random_log(users: int, items: int, seed: int, days: int = 60, mean_length: int = 12) -> Interactions:
    """Return a log of users who view items in their order, so that the next item can be learned."""
    rng = np.random.default_rng(seed)
    histories = {}
    for user in range(users):
        length = int(rng.integers(3, 2 * mean_length))
        first = int(rng.integers(0, items))
        event_days = np.sort(rng.integers(0, days, length))
        histories[f"u{user:04d}"] = [((first + place) % items, int(day)) for place, day in enumerate(event_days)]
    return log_of(histories)
