import math

import numpy as np
import pyarrow as pa
import pytest

from pipeline_tasks.models.text_search import TextIndex, fuse
from pipeline_tasks.recommend.search_results import search_reason, suggest

TEXTS = ["red tea pot", "Tea", "blue tea cup with a very long tail", "saw"]


def test_bm25_by_hand() -> None:
    [(items, scores)] = TextIndex(TEXTS).best(["tea POT"], 3)
    # Lengths 3, 1, 8, 1: mean 3.25. "tea" is in 3 of 4 texts, "pot" in one.
    tea, pot = math.log(1 + 1.5 / 3.5), math.log(1 + 3.5 / 1.5)

    def gain(length: int) -> float:
        return 2.2 / (1 + 1.2 * (0.25 + 0.75 * length / 3.25))

    assert items.tolist() == [0, 1, 2]
    assert scores == pytest.approx([(tea + pot) * gain(3), tea * gain(1), tea * gain(8)])


def test_unknown_words_find_nothing_and_texts_without_words_are_ignored() -> None:
    [(items, _)] = TextIndex(TEXTS).best(["hammer"], 3)
    assert items.tolist() == []
    [(items, _)] = TextIndex(["", "!?"]).best(["tea"], 3)
    assert items.tolist() == []


def test_covers_means_every_word() -> None:
    index = TextIndex(TEXTS)
    assert index.covers("Pot red", 0)
    assert not index.covers("red pot", 1)
    assert not index.covers("red hammer", 0)
    assert not index.covers("", 0)


def test_fusion_by_hand() -> None:
    items, scores = fuse([np.array([7, 3]), np.array([3, 9])], 5)
    assert items.tolist() == [3, 7, 9]
    assert scores == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62])
    assert fuse([np.array([4]), np.array([2])], 1)[0].tolist() == [2], "the lower index at ties"
    assert fuse([], 5)[0].tolist() == []


def test_suggestions_are_the_most_frequent_queries_with_the_prefix() -> None:
    queries = pa.table({"query": ["tea pot", "tea", "toy", "tent"], "searches": [5, 9, 5, 5]})
    rows = suggest(queries, rows=2, longest=4)
    assert [row for row in rows if row[0] == "t"] == [("t", 1, "tea", 9), ("t", 2, "tea pot", 5)]
    assert [row for row in rows if row[0] == "te"] == [("te", 1, "tea", 9), ("te", 2, "tea pot", 5)]
    assert {row[0] for row in rows} == {"t", "te", "tea", "to", "toy", "ten", "tent"}


@pytest.mark.parametrize(
    ("covered", "taste", "said"),
    [
        (True, False, "matches “red tea”"),
        (False, False, "close to “red tea”"),
        (False, True, "close to “red tea” and what you like"),
    ],
)
def test_reasons_name_the_query(covered: bool, taste: bool, said: str) -> None:
    assert search_reason("red tea", covered, taste) == said
