"""Logs in which the next item depends on the user's profile or on queries, and hardly on earlier events."""

import json
from dataclasses import replace

import numpy as np

from pipeline_tasks.data.interactions import Floats, Interactions, TypedQueries
from tests.pipeline_tasks.logs import log_of

KINDS = 8
PER_KIND = 5
ITEMS = KINDS * PER_KIND
WIDTH = 16
_WORDS = [f"kind {kind}" for kind in range(KINDS)]


def item_texts() -> Floats:
    """Return vectors (ITEMS, WIDTH) as of a text encoder. Items of one kind, k, k + 8, k + 16, …, are similar."""
    rng = np.random.default_rng(3)
    own = query_vectors()[np.arange(ITEMS) % KINDS]
    return np.asarray(own + 0.3 * rng.standard_normal((ITEMS, WIDTH)), dtype=np.float32)


def query_vectors() -> Floats:
    """Return vectors (KINDS, WIDTH) of the query for each kind."""
    return np.random.default_rng(4).standard_normal((KINDS, WIDTH)).astype(np.float32)


def profile_log(users: int, seed: int, length: int = 6) -> Interactions:
    """Return histories of users who want one kind in two of three events; their attribute `club` determines it."""
    rng = np.random.default_rng(seed)
    clubs = rng.integers(0, KINDS, users)
    kinds = np.where(rng.random((users, length)) < 2 / 3, clubs[:, None], rng.integers(0, KINDS, (users, length)))
    items = rng.integers(0, PER_KIND, kinds.shape) * KINDS + kinds
    log = log_of({f"u{n:04d}": [(int(item), day) for day, item in enumerate(items[n])] for n in range(users)})
    return log.described({key: json.dumps({"club": f"c{clubs[n]}"}) for n, key in enumerate(log.keys)})


def query_log(users: int, seed: int, length: int = 8) -> Interactions:
    """Return histories with a query before every second event. That event is of a random kind, and the next event is
    of the queried kind."""
    rng = np.random.default_rng(seed)
    kinds = np.repeat(rng.integers(0, KINDS, (users, length // 2)), 2, axis=1)
    wanted = np.where(np.arange(length) % 2 == 0, rng.integers(0, KINDS, kinds.shape), kinds)
    items = rng.integers(0, PER_KIND, kinds.shape) * KINDS + wanted
    log = log_of({f"u{n:04d}": [(int(item), day) for day, item in enumerate(items[n])] for n in range(users)})
    return replace(log, queries=TypedQueries(["", *_WORDS], kinds.ravel() + 1, np.zeros(users, dtype=np.int64)))
