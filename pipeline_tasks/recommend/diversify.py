"""Re-ranks a user's candidates by maximal marginal relevance, under caps per category and brand.

Carbonell and Goldstein, The use of MMR, diversity-based reranking (SIGIR 1998): the next item is the one of highest
lambda * relevance - (1 - lambda) * (its greatest similarity to an item chosen before). Relevance is the score, brought
to [0, 1] over the user's candidates, so that lambda means the same for every model; similarity is the cosine.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline_tasks.config.business_rules import RecommendationPlan
from pipeline_tasks.data.interactions import Flags
from pipeline_tasks.topk.arrays import Indices, Scores, TopK, Vectors

NOTHING: Final = -1
"""In place of an item where a shelf is shorter than its neighbors in the array."""
_GATHERED_NUMBERS: Final = 8_000_000
"""float32 numbers of candidates' vectors gathered at a time: 32 MB."""
_BEYOND_CAP: Final = 1e3
"""Taken from the value of an item beyond a cap: it is chosen only when nothing else is left."""


@dataclass(frozen=True)
class Candidates:
    """Items of n users, best first: (n, c) arrays, `NOTHING` where a user has fewer."""

    items: Indices
    scores: Scores

    def rows(self, chosen: Indices | slice) -> "Candidates":
        """Return the candidates of some users."""
        return Candidates(self.items[chosen], self.scores[chosen])

    def take(self, places: Indices) -> "Candidates":
        """Return (n, m): the candidates at `places` (n, m), `NOTHING` where the place is."""
        found = places >= 0
        items = np.take_along_axis(self.items, np.maximum(places, 0), axis=1)
        scores = np.take_along_axis(self.scores, np.maximum(places, 0), axis=1)
        return Candidates(np.where(found, items, NOTHING), np.where(found, scores, -np.inf))


@dataclass(frozen=True)
class Likeness:
    """What items have in common."""

    content: Vectors
    """(items, c) of length 1."""
    categories: Indices
    """(items,) a number per category, negative where it is unknown: unknown ones are never capped."""
    brands: Indices


def as_candidates(best: TopK, width: int) -> Candidates:
    """Return the ragged top-k as arrays of `width` columns."""
    counts = np.diff(best.starts)
    rows = np.repeat(np.arange(len(counts)), counts)
    columns = np.arange(len(best.items)) - best.starts[rows]
    items = np.full((len(counts), width), NOTHING, np.int64)
    scores = np.full((len(counts), width), -np.inf)
    items[rows, columns], scores[rows, columns] = best.items, best.scores
    return Candidates(items, scores)


def diversify(
    candidates: Candidates,
    likeness: Likeness,
    plan: RecommendationPlan,
    k: int,
    taken: Indices,
    *,
    gives_way: bool = True,
) -> Candidates:
    """Return (n, k) of the candidates in the order that `plan` asks for.

    Args:
        taken: (n, t) items that are on the shelf already, `NOTHING` where there are fewer: they are not chosen again,
            and count for the caps and for what the others differ from.
        gives_way: a cap gives way where too few candidates are left, because a full shelf comes first; else the
            places stay empty.
    """
    width = candidates.items.shape[1]
    numbers = 1 if plan.mmr_lambda == 1 else likeness.content.shape[1]
    step = max(_GATHERED_NUMBERS // max(width * numbers, 1), 1)
    starts = range(0, len(candidates.items), step)
    wanted = min(k, width)
    places = [
        _choose(candidates.rows(slice(i, i + step)), likeness, plan, wanted, taken[i : i + step], gives_way)
        for i in starts
    ]
    return candidates.take(np.concatenate(places) if places else np.zeros((0, wanted), np.int64))


def _choose(
    candidates: Candidates, likeness: Likeness, plan: RecommendationPlan, k: int, taken: Indices, gives_way: bool
) -> Indices:
    """Return (n, k) places among the candidates."""
    items = np.maximum(candidates.items, 0)
    usable: Flags = candidates.items != NOTHING
    for column in taken.T:
        usable &= candidates.items != column[:, None]
    value = plan.mmr_lambda * relevance(candidates)
    vectors = likeness.content[items] if plan.mmr_lambda < 1 else None
    similar = _similar_to(taken, vectors, likeness) if vectors is not None else np.zeros(items.shape)
    groups = [
        (*_counted(codes, items, taken), cap)
        for codes, cap in ((likeness.categories, plan.max_per_category), (likeness.brands, plan.max_per_brand))
        if cap is not None
    ]
    rows, chosen = np.arange(len(items)), np.full((len(items), k), NOTHING, np.int64)
    for rank in range(k):
        worth = value - (1 - plan.mmr_lambda) * similar
        for _, counts, cap in groups:
            worth = worth - _BEYOND_CAP * (counts >= cap)
        # Rounded, so that no order of additions decides between equals: the better score is first.
        place = np.round(np.where(usable, worth, -np.inf), 5).argmax(axis=1)
        found = usable[rows, place] & (gives_way | (worth[rows, place] > -_BEYOND_CAP / 2))
        chosen[:, rank] = np.where(found, place, NOTHING)
        usable[rows, place] = False
        if vectors is not None:
            np.maximum(similar, _cosines(vectors, vectors[rows, place]), out=similar)
        for codes, counts, _ in groups:
            own = codes[rows, place]
            np.add(counts, (codes == own[:, None]) & (found & (own >= 0))[:, None], out=counts)
    return chosen


def _similar_to(taken: Indices, vectors: Vectors, likeness: Likeness) -> Scores:
    """Return (n, c): the greatest similarity of each candidate to an item that is taken, the least where none is."""
    similar = np.full(vectors.shape[:2], -1.0)
    for column in taken.T:
        cosines = _cosines(vectors, likeness.content[column])
        np.maximum(similar, np.where((column != NOTHING)[:, None], cosines, -1.0), out=similar)
    return similar


def _cosines(vectors: Vectors, others: Vectors) -> Scores:
    return np.asarray(np.einsum("ncd,nd->nc", vectors, others), np.float64)


def _counted(codes: Indices, items: Indices, taken: Indices) -> tuple[Indices, Indices]:
    """Return (n, c) the code of each candidate, and how many of those taken have it, too."""
    found, counts = codes[items], np.zeros(items.shape, np.int64)
    for column in taken.T:
        own = np.where(column == NOTHING, -1, codes[column])
        np.add(counts, (found == own[:, None]) & (own >= 0)[:, None], out=counts)
    return found, counts


def relevance(candidates: Candidates) -> Scores:
    """Return the scores brought to [0, 1] over each row; 0 where there is no candidate."""
    found = candidates.items != NOTHING
    scores = np.where(found, candidates.scores, 0.0)
    low = np.where(found, scores, np.inf).min(axis=1, initial=np.inf, keepdims=True)
    span = np.where(found, scores, -np.inf).max(axis=1, initial=-np.inf, keepdims=True) - low
    return np.where(found & (span > 0), (scores - low) / np.where(span > 0, span, 1), 0.0)
