"""Text match of queries and items by BM25, and the fusion of rankings with scores of different scales.

Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), with Lucene's idf, which is never
negative. It needs only scikit-learn's counts and one sparse product, so no search library is used.

Cormack, Clarke and Buettcher, Reciprocal rank fusion outperforms Condorcet and individual rank learning methods
(SIGIR 2009).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy import sparse

from pipeline_tasks.topk.arrays import Indices, Scores

SATURATION: Final = 1.2
"""k1, the saturation of repeated words; Lucene's default."""
LENGTH: Final = 0.75
"""b, the normalization by text length; Lucene's default."""
_BATCH_QUERIES: Final = 256
"""Queries scored at a time, which bounds the memory of the sparse scores."""
CONSTANT: Final = 60
"""k of the paper; a higher value reduces the advantage of the first places."""


class TextIndex:
    """A BM25 index of n texts."""

    def __init__(self, texts: list[str]) -> None:
        from sklearn.feature_extraction.text import CountVectorizer

        self.size = len(texts)
        self.words = CountVectorizer(token_pattern=r"(?u)\b\w+\b", lowercase=True)
        try:
            counts = self.words.fit_transform(texts).astype(np.float64).tocsr()
        except ValueError:
            # No text has a word.
            counts = None
        self.weights = None if counts is None else _bm25_weights(counts)

    def best(self, queries: list[str], k: int) -> list[tuple[Indices, Scores]]:
        """Return for each query the (at most) k best texts and their scores, best first; the lower index wins a tie."""
        if self.weights is None:
            return [(np.zeros(0, np.int64), np.zeros(0)) for _ in queries]
        found = []
        for start in range(0, len(queries), _BATCH_QUERIES):
            query_words = self.words.transform(queries[start : start + _BATCH_QUERIES]).sign().astype(np.float64)
            scores = (query_words @ self.weights).tocsr()
            for row in range(scores.shape[0]):
                part = slice(scores.indptr[row], scores.indptr[row + 1])
                items, values = scores.indices[part], np.round(scores.data[part], 9)
                order = np.lexsort((items, -values))[:k]
                found.append((items[order].astype(np.int64), values[order]))
        return found

    def covers(self, query: str, text: int) -> bool:
        """Return whether the text contains every word of the query."""
        if self.weights is None:
            return False
        wanted = self.words.build_analyzer()(query)
        known = [self.words.vocabulary_[word] for word in wanted if word in self.words.vocabulary_]
        return len(known) == len(wanted) > 0 and all(self.weights[word, text] > 0 for word in known)


def _bm25_weights(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return (words, texts): the score of each word of a text for a query with that word."""
    n = counts.shape[0]
    lengths = np.asarray(counts.sum(axis=1)).ravel()
    holding = np.bincount(counts.indices, minlength=counts.shape[1])
    idf = np.log(1 + (n - holding + 0.5) / (holding + 0.5))
    rows = np.repeat(np.arange(n), np.diff(counts.indptr))
    norm = SATURATION * (1 - LENGTH + LENGTH * lengths / max(lengths.mean(), 1e-9))
    weighed = counts.copy()
    weighed.data = idf[counts.indices] * counts.data * (SATURATION + 1) / (counts.data + norm[rows])
    return weighed.T.tocsr()


def fuse(rankings: Sequence[Indices], k: int) -> tuple[Indices, Scores]:
    """Return the k items with the highest sums of 1 / (60 + rank), and the sums; the lower index wins a tie."""
    items = np.concatenate([*rankings, np.zeros(0, np.int64)])
    if not len(items):
        return items, np.zeros(0)
    gains = np.concatenate([1 / (CONSTANT + 1 + np.arange(len(ranking))) for ranking in rankings])
    found, places = np.unique(items, return_inverse=True)
    # Rounded, so that the order of the rankings cannot break a tie.
    sums = np.round(np.bincount(places, weights=gains, minlength=len(found)), 12)
    order = np.lexsort((found, -sums))[:k]
    return np.asarray(found[order], np.int64), np.asarray(sums[order], np.float64)
