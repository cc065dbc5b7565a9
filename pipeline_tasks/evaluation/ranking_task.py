"""Ranking tasks of an evaluation, samples of their users, and the interface of every scorer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Protocol, runtime_checkable

import numpy as np
from scipy.sparse import csr_matrix

from pipeline_tasks.data.interactions import DataExtent, Floats, Integers, Interactions
from pipeline_tasks.data.split_parts import Part, Parts
from pipeline_tasks.evaluation.user_segments import Labels, activity_bands, given_segments, history_bands
from pipeline_tasks.tables.contracts import CHOSEN_TYPES

Goal = Literal["served", "discovery", "repeats", "newcomers"]
"""What a task predicts.

served: for users with a history; what the repeat policy excludes is masked, as in the nightly tables.
discovery: for users with a history; the items that they wanted before are masked.
repeats: for users with a history; no item is masked.
newcomers: for users without a history; no item is masked.
"""
SERVED_TEST: Final = "served_test"
"""The main task of an evaluation. Its lists exclude the same items for a user as the nightly tables."""
GOALS: Final[tuple[Goal, ...]] = ("discovery", "repeats", "newcomers")
_STRONGEST_FIRST: Final = (("purchase", "rating"), ("cart",), ("click", "view"))


class Scorer(Protocol):
    """Anything that scores all items for histories: the model, a baseline, a blend."""

    @property
    def name(self) -> str:
        """The name in the table of results."""

    @property
    def data_extent(self) -> DataExtent:
        """The extent of the data that the scorer was fitted on."""

    def scores(self, histories: Interactions) -> Floats:
        """Return (histories, items), higher is better. Only the given histories may be read."""


@runtime_checkable
class Preparable(Protocol):
    """A scorer that can do work once which it would otherwise repeat in each call."""

    def prepared(self) -> Scorer:
        """Return a scorer for many calls, with bitwise equal scores."""


@dataclass(frozen=True)
class RankingTask:
    """The task to rank the whole catalog for each of n users, from their histories alone."""

    name: str
    known: Interactions
    """All known events of all users: the most that a model may be fitted on."""
    histories: Interactions
    """Histories of the n users."""
    relevant: csr_matrix
    """(n, items) 1 where the user wanted the item afterwards."""
    masked: csr_matrix
    """(n, items) 1 where the item may not be recommended."""
    popularity: Integers
    """(items,) how many users wanted each item before, for novelty and popularity bias."""
    item_vectors: Floats | None = None
    """(items, d) vectors of texts or categories, for the intra-list distance."""
    segments: Mapping[str, Labels] = field(default_factory=dict)
    """Kind of segment -> (n,) label of each user."""

    def __len__(self) -> int:
        return len(self.histories)


def relevant_types(log: Interactions) -> Integers:
    """Return the event types that count as relevant: the strongest that the log has (purchases before views).

    Raises:
        ValueError: the log has no such event.
    """
    present = set(np.unique(log.types).tolist())
    for names in _STRONGEST_FIRST:
        chosen = [CHOSEN_TYPES.index(name) for name in names]
        if present & set(chosen):
            return np.array(chosen, dtype=np.int64)
    raise ValueError("no purchase, rating, cart, click or view in the log: there is nothing to learn or to evaluate")


def build_task(
    parts: Parts,
    part: Part,
    goal: Goal,
    n_items: int,
    item_vectors: Floats | None = None,
    segments: Mapping[str, Mapping[str, str]] | None = None,
) -> RankingTask:
    """Return the task to predict `part`; see `build_tasks`."""
    return build_tasks(parts, part, (goal,), n_items, item_vectors, segments)[0]


def build_tasks(
    parts: Parts,
    part: Part,
    goals: Sequence[Goal],
    n_items: int,
    item_vectors: Floats | None = None,
    segments: Mapping[str, Mapping[str, str]] | None = None,
    taken: csr_matrix | None = None,
) -> list[RankingTask]:
    """Return one task per goal, for known users with at least one relevant item. All tasks share the known events.

    In a log without known users, anonymous sessions take their place. Masked items do not count as relevant.

    Args:
        item_vectors: (items, d), as in `RankingTask`.
        segments: kind -> user key -> label, added to the bands of history length and activity of every task.
        taken: (sequences, items) 1 where the repeat policy excludes an item (see `repeat_policy`), for the goal served.

    Raises:
        ValueError: the goal is served, and `taken` is missing.
    """
    known = parts.known_before(part)
    types = relevant_types(parts.log)
    wanted = interaction_matrix(known, n_items, types)
    future = interaction_matrix(parts.future(part), n_items, types)
    popularity = np.asarray(wanted.sum(axis=0)).ravel().astype(np.int64)
    eligible = parts.log.known if parts.log.known.any() else np.ones_like(parts.log.known)
    tasks = []
    for goal in goals:
        masked = _masked(goal, wanted, taken)
        relevant = _without(future, masked)
        audience = known.lengths == 0 if goal == "newcomers" else known.lengths > 0
        users = np.flatnonzero(eligible & audience & (relevant.getnnz(axis=1) > 0))
        histories = known.select(users)
        labels = _labels(histories, known, segments or {})
        name = f"{goal}_{part}"
        tasks.append(
            RankingTask(name, known, histories, relevant[users], masked[users], popularity, item_vectors, labels)
        )
    return tasks


def _without(future: csr_matrix, masked: csr_matrix) -> csr_matrix:
    relevant = (future - future.multiply(masked)).tocsr()
    relevant.eliminate_zeros()
    relevant.sort_indices()
    return relevant


def _masked(goal: Goal, wanted: csr_matrix, taken: csr_matrix | None) -> csr_matrix:
    if goal == "served":
        if taken is None:
            raise ValueError("the goal served needs the items that the repeat policy excludes: give `taken`")
        return taken
    return wanted if goal == "discovery" else csr_matrix(wanted.shape, dtype=np.float32)


def _labels(
    histories: Interactions, known: Interactions, segments: Mapping[str, Mapping[str, str]]
) -> dict[str, Labels]:
    given = {kind: given_segments(histories.keys, labels) for kind, labels in segments.items()}
    own = {
        "history": history_bands(histories),
        "activity": activity_bands(histories, known.data_extent.last_timestamp),
    }
    return own | given


def interaction_matrix(log: Interactions, n_items: int, types: Integers | None = None) -> csr_matrix:
    """Return (sequences, items) float32: 1 where a sequence holds the item in an event of `types` (None: any type)."""
    keep = np.ones(len(log.items), dtype=bool) if types is None else np.isin(log.types, types)
    entries = np.ones(int(keep.sum()), dtype=np.float32)
    matrix = csr_matrix((entries, (log.rows[keep], log.items[keep])), shape=(len(log), n_items))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def sample_task(task: RankingTask, most: int, seed: int) -> RankingTask:
    """Return the task for a random sample of at most `most` users."""
    if len(task) <= most:
        return task
    return _for_users(task, np.sort(np.random.default_rng(seed).choice(len(task), most, replace=False)))


def sample_tasks(tasks: Sequence[RankingTask], most: int, seed: int) -> list[RankingTask]:
    """Return tasks over one log (`build_tasks`) with at most `most` users each.

    The samples overlap as far as possible, because `evaluate_tasks` scores each user once for all tasks.
    """
    known = tasks[0].known.keys
    order = dict(zip(known, np.random.default_rng(seed).permutation(len(known)).tolist(), strict=True))
    return [_first(task, order, most) if len(task) > most else task for task in tasks]


def _first(task: RankingTask, order: dict[str, int], most: int) -> RankingTask:
    places = np.array([order[key] for key in task.histories.keys])
    return _for_users(task, np.sort(np.argpartition(places, most)[:most]))


def _for_users(task: RankingTask, users: Integers) -> RankingTask:
    return replace(
        task,
        histories=task.histories.select(users),
        relevant=task.relevant[users],
        masked=task.masked[users],
        segments={kind: labels[users] for kind, labels in task.segments.items()},
    )
