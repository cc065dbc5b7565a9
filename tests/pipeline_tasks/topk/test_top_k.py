import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_tasks.topk import arrays
from pipeline_tasks.topk.arrays import Exclusions, TopK, Vectors, dot_products
from pipeline_tasks.topk.top_k import top_k


def brute_force(users: Vectors, items: Vectors, k: int, excluded: list[set[int]]) -> list[list[tuple[int, float]]]:
    """Rank every pair in plain Python: higher score first, then lower index."""
    lists = []
    for user, banned in zip(users.astype(np.float64), excluded, strict=True):
        scored = [
            (float((user * item).sum()), index)
            for index, item in enumerate(items.astype(np.float64))
            if index not in banned
        ]
        best = sorted(scored, key=lambda pair: (-pair[0], pair[1]))[:k]
        lists.append([(index, score) for score, index in best])
    return lists


def lists_of(result: TopK) -> list[list[tuple[int, float]]]:
    pairs = list(zip(result.items.tolist(), result.scores.tolist(), strict=True))
    return [pairs[first:last] for first, last in zip(result.starts[:-1], result.starts[1:], strict=True)]


def exclusions_of(excluded: list[set[int]]) -> Exclusions:
    starts = np.cumsum([0, *(len(banned) for banned in excluded)])
    return Exclusions(starts.astype(np.int64), np.array([i for b in excluded for i in sorted(b)], dtype=np.int64))


@st.composite
def problems(draw: st.DrawFn) -> tuple[Vectors, Vectors, int, list[set[int]], int]:
    n_users, n_items, width = draw(st.integers(1, 9)), draw(st.integers(1, 60)), draw(st.integers(1, 5))
    # Few distinct numbers give many ties, also at the k-th place.
    numbers = draw(st.sampled_from([[0.0, 1.0], [-1.0, 0.1, 0.3], [1e-8, 1.0, -1e7, 0.7]]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    users = rng.choice(numbers, (n_users, width)).astype(np.float32)
    items = rng.choice(numbers, (n_items, width)).astype(np.float32)
    share = draw(st.sampled_from([0.0, 0.3, 0.95, 1.0]))
    excluded = [set(np.flatnonzero(rng.random(n_items) < share).tolist()) for _ in range(n_users)]
    return users, items, draw(st.integers(1, 70)), excluded, draw(st.integers(1, 10))


@settings(max_examples=150, deadline=None)
@given(problems())
def test_equals_brute_force(problem: tuple[Vectors, Vectors, int, list[set[int]], int]) -> None:
    users, items, k, excluded, block = problem
    result = top_k(users, items, k, exclusions_of(excluded), block)
    assert lists_of(result) == brute_force(users, items, k, excluded)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_block_size_changes_nothing(seed: int, block: int) -> None:
    rng = np.random.default_rng(seed)
    users, items = rng.standard_normal((40, 16), np.float32), rng.standard_normal((300, 16), np.float32)
    whole, parts = top_k(users, items, 10), top_k(users, items, 10, block=block)
    assert np.array_equal(whole.items, parts.items)
    assert np.array_equal(whole.scores, parts.scores)


def test_equal_items_come_in_the_order_of_their_index() -> None:
    rng = np.random.default_rng(3)
    users, one = rng.standard_normal((5, 32), np.float32), rng.standard_normal((1, 32), np.float32)
    result = top_k(users, np.repeat(one, 100, axis=0), 7)
    assert result.items.reshape(5, 7).tolist() == [list(range(7))] * 5


def test_k_beyond_the_catalog_gives_the_whole_catalog() -> None:
    result = top_k(np.ones((2, 3), np.float32), np.eye(3, dtype=np.float32), 10)
    assert np.diff(result.starts).tolist() == [3, 3]


def test_user_without_an_allowed_item_gets_no_row() -> None:
    banned = exclusions_of([{0, 1, 2}, {1}])
    result = top_k(np.ones((2, 3), np.float32), np.eye(3, dtype=np.float32), 2, banned)
    assert np.diff(result.starts).tolist() == [0, 2]
    assert result.items.tolist() == [0, 2]


def test_scores_are_the_dot_products() -> None:
    rng = np.random.default_rng(5)
    users, items = rng.standard_normal((3, 128), np.float32), rng.standard_normal((50, 128), np.float32)
    result = top_k(users, items, 4)
    rows = np.repeat(np.arange(3), 4)
    assert np.array_equal(result.scores, dot_products(users, items, rows, result.items))
    assert np.allclose(result.scores, np.einsum("ud,ud->u", users[rows], items[result.items]), atol=1e-4)


@pytest.mark.parametrize(
    ("users", "items", "k", "message"),
    [
        (np.ones((2, 3)), np.ones((4, 5)), 1, "differ in width"),
        (np.ones((2, 3)), np.ones((4, 3)), 0, "at least 1"),
        (np.full((2, 3), np.nan), np.ones((4, 3)), 1, "2 of 2 user vectors hold NaN"),
        (np.ones((2, 3)), np.array([[1, 1, 1], [1, np.inf, 1]]), 1, "1 of 2 item vectors.*row 1"),
        (np.ones((2, 3)), np.ones((0, 3)), 1, "no item vectors"),
    ],
)
def test_bad_input_is_refused_with_a_message(
    users: npt.NDArray[np.float64], items: npt.NDArray[np.float64], k: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        top_k(users.astype(np.float32), items.astype(np.float32), k)


def test_memory_is_bounded_by_the_block() -> None:
    users, items = np.ones((4_000, 8), np.float32), np.random.default_rng(1).random((2_000, 8)).astype(np.float32)
    tracemalloc.start()
    top_k(users, items, 10, block=256)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 4,000 x 2,000 scores would be 32 MB.
    assert peak < 16_000_000


def test_read_only_items_are_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    look = arrays.refuse_bad_vectors

    def message(name: str, vectors: Vectors) -> None:
        looked.append(name)
        look(name, vectors)

    monkeypatch.setattr(arrays, "refuse_bad_vectors", message)
    users, items = np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)
    for _ in range(2):
        top_k(users, items, 1)
    assert looked == ["user", "item"] * 2
    looked.clear()
    items.flags.writeable = False
    for _ in range(3):
        top_k(users, items, 1)
    assert looked == ["user", "item", "user", "user"]
    bad = np.full((4, 3), np.nan, np.float32)
    bad.flags.writeable = False
    for _ in range(2):
        with pytest.raises(ValueError, match="4 of 4 item vectors hold NaN"):
            top_k(users, bad, 1)
