"""What a model is asked in an evaluation, and the one interface through which any model answers."""

from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
from scipy.sparse import csr_matrix

from pipeline_tasks.interactions import MODELLED_TYPES, Evidence, Floats, Integers, Interactions
from pipeline_tasks.split_parts import Part, Parts

Goal = Literal["discovery", "repeats"]
_STRONGEST_FIRST: Final = (("purchase", "rating"), ("cart",), ("click", "view"))


class Scorer(Protocol):
    """Anything that scores all items for histories: the model, a baseline, a blend."""

    @property
    def name(self) -> str:
        """Its name in the table of results."""

    @property
    def evidence(self) -> Evidence:
        """What it was fitted on."""

    def scores(self, histories: Interactions) -> Floats:
        """Return (histories, items): higher is better. Reads no more than the histories given."""


@dataclass(frozen=True)
class RankingTask:
    """Rank the whole catalog for each of n shoppers, of whom only the history is shown."""

    name: str
    known: Interactions
    """All that may be known, of everybody: what a model may have been fitted on."""
    histories: Interactions
    """The n shoppers' own histories."""
    relevant: csr_matrix
    """(n, items) 1 where the shopper wanted the item afterwards."""
    masked: csr_matrix
    """(n, items) 1 where the item may not be recommended."""
    popularity: Integers
    """(items,) how many shoppers wanted each item before: for novelty."""


def wanted_types(log: Interactions) -> Integers:
    """Return the types whose events count as answers: the strongest that the log has (purchases before views)."""
    present = set(np.unique(log.types).tolist())
    for names in _STRONGEST_FIRST:
        chosen = [MODELLED_TYPES.index(name) for name in names]
        if present & set(chosen):
            return np.array(chosen, dtype=np.int64)
    raise ValueError("no purchase, rating, cart, click or view in the log: there is nothing to learn or to evaluate")


def build_task(parts: Parts, part: Part, goal: Goal, n_items: int) -> RankingTask:
    """Return the task of predicting `part` for known shoppers with a history and at least one relevant item.

    discovery: what the shopper has wanted before is masked and does not count; repeats: nothing is masked.
    """
    known = parts.known_before(part)
    types = wanted_types(parts.log)
    wanted = matrix_of(known, n_items, types)
    relevant = matrix_of(parts.future(part), n_items, types)
    masked = wanted if goal == "discovery" else csr_matrix(wanted.shape, dtype=np.float32)
    relevant = (relevant - relevant.multiply(masked)).tocsr()
    relevant.eliminate_zeros()
    asked = np.flatnonzero(parts.log.known & (known.lengths > 0) & (relevant.getnnz(axis=1) > 0))
    return RankingTask(
        f"{goal}_{part}",
        known,
        known.select(asked),
        relevant[asked],
        masked[asked],
        np.asarray(wanted.sum(axis=0)).ravel().astype(np.int64),
    )


def matrix_of(log: Interactions, n_items: int, types: Integers | None = None) -> csr_matrix:
    """Return (sequences, items) float32 with 1 where a sequence holds the item, only in events of `types` if given."""
    keep = np.ones(len(log.items), dtype=bool) if types is None else np.isin(log.types, types)
    entries = np.ones(int(keep.sum()), dtype=np.float32)
    matrix = csr_matrix((entries, (log.rows[keep], log.items[keep])), shape=(len(log), n_items))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix
