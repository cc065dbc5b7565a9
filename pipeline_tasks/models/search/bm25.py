"""Text match of queries and items by BM25.

Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), with the idf that is never
negative (Lucene's). On scikit-learn's counts and one sparse product: a library of its own would bring an index format
and a tokenizer for what is these few lines.
"""

from typing import Final

import numpy as np
from scipy import sparse

from pipeline_tasks.topk.arrays import Indices, Scores

SATURATION: Final = 1.2
"""k1: how soon more of the same word says no more. As Lucene."""
LENGTH: Final = 0.75
"""b: how much a long text is held against itself. As Lucene."""
_BATCH_QUERIES: Final = 256
"""Queries: bounds memory at so many rows of the items that share a word with them."""


class TextIndex:
    """n texts to be searched by their words."""

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
        """Return for each query the (at most) k best texts and their scores, best first, the lower index at ties."""
        if self.weights is None:
            return [(np.zeros(0, np.int64), np.zeros(0)) for _ in queries]
        found = []
        for start in range(0, len(queries), _BATCH_QUERIES):
            asked = self.words.transform(queries[start : start + _BATCH_QUERIES]).sign().astype(np.float64)
            scores = (asked @ self.weights).tocsr()
            for row in range(scores.shape[0]):
                part = slice(scores.indptr[row], scores.indptr[row + 1])
                items, values = scores.indices[part], np.round(scores.data[part], 9)
                order = np.lexsort((items, -values))[:k]
                found.append((items[order].astype(np.int64), values[order]))
        return found

    def covers(self, query: str, text: int) -> bool:
        """Whether the text holds every word of the query."""
        if self.weights is None:
            return False
        wanted = self.words.build_analyzer()(query)
        known = [self.words.vocabulary_[word] for word in wanted if word in self.words.vocabulary_]
        return len(known) == len(wanted) > 0 and all(self.weights[word, text] > 0 for word in known)


def _bm25_weights(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return (words, texts): what each word of a text adds to the score of a query that holds it."""
    n = counts.shape[0]
    lengths = np.asarray(counts.sum(axis=1)).ravel()
    holding = np.bincount(counts.indices, minlength=counts.shape[1])
    idf = np.log(1 + (n - holding + 0.5) / (holding + 0.5))
    rows = np.repeat(np.arange(n), np.diff(counts.indptr))
    norm = SATURATION * (1 - LENGTH + LENGTH * lengths / max(lengths.mean(), 1e-9))
    weighed = counts.copy()
    weighed.data = idf[counts.indices] * counts.data * (SATURATION + 1) / (counts.data + norm[rows])
    return weighed.T.tocsr()
