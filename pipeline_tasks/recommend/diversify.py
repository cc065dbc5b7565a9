"""Re-ranks a user's candidates by maximal marginal relevance, under caps per category and brand.

Source: Carbonell and Goldstein, The use of MMR, diversity-based reranking (SIGIR 1998). The next item is the one with
the highest lambda * relevance - (1 - lambda) * (its greatest similarity to an item chosen before). Relevance is the
score, scaled to [0, 1] over the user's candidates, so that lambda means the same for every model. Similarity is the
cosine.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline_tasks.config.business_rules import RecommendationPlan
from pipeline_tasks.data.interactions import Flags
from pipeline_tasks.topk.arrays import Indices, Scores, TopK, Vectors

NOTHING: Final = -1
"""Filler in arrays of items where a user has fewer items than others."""
_GATHERED_NUMBERS: Final = 8_000_000
"""Numbers (float32) of candidate vectors that are gathered at a time: 32 MB."""
_BEYOND_CAP: Final = 1e3
"""Penalty of an item beyond a cap, which is chosen only when no other item is left."""


@dataclass(frozen=True)
class Candidates:
    """Items of n users, best first: arrays (n, c), with `NOTHING` where a user has fewer."""

    items: Indices
    scores: Scores

    def rows(self, chosen: Indices | slice) -> "Candidates":
        """Return the candidates of some users."""
        return Candidates(self.items[chosen], self.scores[chosen])

    def take(self, places: Indices) -> "Candidates":
        """Return the candidates (n, m) at `places` (n, m), `NOTHING` where a place is `NOTHING`."""
        found = places >= 0
        items = np.take_along_axis(self.items, np.maximum(places, 0), axis=1)
        scores = np.take_along_axis(self.scores, np.maximum(places, 0), axis=1)
        return Candidates(np.where(found, items, NOTHING), np.where(found, scores, -np.inf))


@dataclass(frozen=True)
class ItemSimilarity:
    """The properties by which items are similar."""

    content: Vectors
    """(items, c) content vectors of length 1."""
    categories: Indices
    """(items,) a number for each category, negative where it is unknown. Unknown categories have no cap."""
    brands: Indices


def as_candidates(best: TopK, width: int) -> Candidates:
    """Return a ragged top-k as arrays of `width` columns."""
    counts = np.diff(best.starts)
    rows = np.repeat(np.arange(len(counts)), counts)
    columns = np.arange(len(best.items)) - best.starts[rows]
    items = np.full((len(counts), width), NOTHING, np.int64)
    scores = np.full((len(counts), width), -np.inf)
    items[rows, columns], scores[rows, columns] = best.items, best.scores
    return Candidates(items, scores)


def diversify(
    candidates: Candidates,
    similarity: ItemSimilarity,
    plan: RecommendationPlan,
    k: int,
    taken: Indices,
    *,
    relax_caps: bool = True,
) -> Candidates:
    """Return (n, k) of the candidates, in an order by the diversity and the caps of `plan`.

    Args:
        taken: (n, t) items that have a place already, `NOTHING` where there are fewer. They are not chosen again, and
            count for the caps and for the similarity.
        relax_caps: whether items beyond a cap fill places for which no other candidate is left; else these places stay
            empty.
    """
    width = candidates.items.shape[1]
    numbers = 1 if plan.mmr_lambda == 1 else similarity.content.shape[1]
    step = max(_GATHERED_NUMBERS // max(width * numbers, 1), 1)
    starts = range(0, len(candidates.items), step)
    wanted = min(k, width)
    places = [
        _choose(candidates.rows(slice(i, i + step)), similarity, plan, wanted, taken[i : i + step], relax_caps)
        for i in starts
    ]
    return candidates.take(np.concatenate(places) if places else np.zeros((0, wanted), np.int64))


def _choose(
    candidates: Candidates,
    similarity: ItemSimilarity,
    plan: RecommendationPlan,
    k: int,
    taken: Indices,
    relax_caps: bool,
) -> Indices:
    """Return (n, k) places among the candidates."""
    items = np.maximum(candidates.items, 0)
    usable: Flags = candidates.items != NOTHING
    for column in taken.T:
        usable &= candidates.items != column[:, None]
    relevant = plan.mmr_lambda * relevance(candidates)
    vectors = similarity.content[items] if plan.mmr_lambda < 1 else None
    similar = _similar_to(taken, vectors, similarity) if vectors is not None else np.zeros(items.shape)
    groups = [
        (*_counted(codes, items, taken), cap)
        for codes, cap in ((similarity.categories, plan.max_per_category), (similarity.brands, plan.max_per_brand))
        if cap is not None
    ]
    rows, chosen = np.arange(len(items)), np.full((len(items), k), NOTHING, np.int64)
    for rank in range(k):
        value = relevant - (1 - plan.mmr_lambda) * similar
        for _, counts, cap in groups:
            value = value - _BEYOND_CAP * (counts >= cap)
        # Rounded, so that rounding errors of sums do not decide between equal values: the better score is first.
        place = np.round(np.where(usable, value, -np.inf), 5).argmax(axis=1)
        found = usable[rows, place] & (relax_caps | (value[rows, place] > -_BEYOND_CAP / 2))
        chosen[:, rank] = np.where(found, place, NOTHING)
        usable[rows, place] = False
        if vectors is not None:
            np.maximum(similar, _cosines(vectors, vectors[rows, place]), out=similar)
        for codes, counts, _ in groups:
            own = codes[rows, place]
            np.add(counts, (codes == own[:, None]) & (found & (own >= 0))[:, None], out=counts)
    return chosen


def _similar_to(taken: Indices, vectors: Vectors, similarity: ItemSimilarity) -> Scores:
    """Return (n, c): the greatest similarity of each candidate to an item in `taken`, -1 where there is none."""
    similar = np.full(vectors.shape[:2], -1.0)
    for column in taken.T:
        cosines = _cosines(vectors, similarity.content[column])
        np.maximum(similar, np.where((column != NOTHING)[:, None], cosines, -1.0), out=similar)
    return similar


def _cosines(vectors: Vectors, others: Vectors) -> Scores:
    return np.asarray(np.einsum("ncd,nd->nc", vectors, others), np.float64)


def _counted(codes: Indices, items: Indices, taken: Indices) -> tuple[Indices, Indices]:
    """Return two arrays (n, c): the code of each candidate, and the number of items in `taken` with the same code."""
    found, counts = codes[items], np.zeros(items.shape, np.int64)
    for column in taken.T:
        own = np.where(column == NOTHING, -1, codes[column])
        np.add(counts, (found == own[:, None]) & (own >= 0)[:, None], out=counts)
    return found, counts


def relevance(candidates: Candidates) -> Scores:
    """Return the scores scaled to [0, 1] in each row; 0 where there is no candidate."""
    found = candidates.items != NOTHING
    scores = np.where(found, candidates.scores, 0.0)
    low = np.where(found, scores, np.inf).min(axis=1, initial=np.inf, keepdims=True)
    span = np.where(found, scores, -np.inf).max(axis=1, initial=-np.inf, keepdims=True) - low
    return np.where(found & (span > 0), (scores - low) / np.where(span > 0, span, 1), 0.0)
