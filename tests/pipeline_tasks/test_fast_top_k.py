import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_tasks import top_k as module
from pipeline_tasks.fast_top_k import fast_top_k, first_pass
from pipeline_tasks.select_kernels import dot, key_at_most, kth_largest, value_of
from pipeline_tasks.top_k import Vectors, dot_products, top_k
from tests.pipeline_tasks.test_top_k import brute_force, exclusions_of, problems, shelves_of


@pytest.fixture(autouse=True)
def always_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the fast path however small the table is."""
    monkeypatch.setattr(module, "_FAST_FROM", 0)


@settings(max_examples=150, deadline=None)
@given(problems())
def test_equals_brute_force(problem: tuple[Vectors, Vectors, int, list[set[int]], int]) -> None:
    users, items, k, excluded, block = problem
    result = top_k(users, items, k, exclusions_of(excluded), block)
    assert shelves_of(result) == brute_force(users, items, k, excluded)


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("shift", [0.0, 50.0, -50.0])
def test_either_first_pass_gives_what_the_dense_one_gives(half: bool, shift: float) -> None:
    """Also where a part that all items share is many times larger than what tells them apart."""
    rng = np.random.default_rng(7)
    users = rng.standard_normal((700, 40)).astype(np.float32)
    items = (rng.standard_normal((20_000, 40)) + shift).astype(np.float32)
    banned = exclusions_of([set(rng.integers(0, 20_000, 30).tolist()) for _ in users])
    dense = list(module._parts(users, items, 20, banned, 256))
    fast = list(fast_top_k(users, items, 20, banned, first_pass(items, half)))
    assert all((counts == 20).all() for _, counts, _, _ in fast)
    assert np.array_equal(np.concatenate([part[2] for part in fast]), np.concatenate([part[1] for part in dense]))
    assert np.array_equal(np.concatenate([part[3] for part in fast]), np.concatenate([part[2] for part in dense]))


@pytest.mark.filterwarnings("error")
def test_a_shelf_that_is_mapped_read_only_is_scored_alike() -> None:
    rng = np.random.default_rng(9)
    users, items = rng.standard_normal((30, 16), np.float32), rng.standard_normal((500, 16), np.float32)
    expected = top_k(users, items, 5)
    users.flags.writeable = items.flags.writeable = False
    result = top_k(users, items, 5)
    assert np.array_equal(result.items, expected.items)
    assert np.array_equal(result.scores, expected.scores)


def test_users_with_more_equals_than_there_is_room_for_are_scored_densely() -> None:
    rng = np.random.default_rng(3)
    users = rng.standard_normal((40, 8)).astype(np.float32)
    items = rng.standard_normal((3_000, 8)).astype(np.float32)
    # To users along the first axis, 2,000 items are equal and the best; others see 2,000 different ones.
    users[::3] = np.eye(1, 8, dtype=np.float32)
    items[500:2_500, 0] = 9.0
    banned = exclusions_of([{500, 501} if user % 2 else {700} for user in range(40)])
    counts = next(fast_top_k(users, items, 10, banned, first_pass(items)))[1]
    assert set(np.flatnonzero(counts < 0)) == set(range(0, 40, 3))
    result = top_k(users, items, 10, banned)
    dense = list(module._parts(users, items, 10, banned, 64))
    assert np.array_equal(result.items, np.concatenate([part[1] for part in dense]))
    assert result.items[:11].tolist() == [*range(500, 510), result.items[10]]


@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=50), st.integers(1, 50))
def test_keys_keep_the_order_of_the_numbers(numbers: list[float], k: int) -> None:
    exact = np.array(numbers, np.float32)
    keys = np.array([key_at_most(number) for number in exact], np.int16)
    values = np.array([value_of(key) for key in keys])
    assert (values <= exact).all()
    # A bfloat16 has 8 significant bits: below it by one unit at most, subnormal numbers apart.
    assert (exact - values <= np.maximum(np.abs(exact) * 2.0**-7, 1e-38)).all()
    k = min(k, len(keys))
    assert kth_largest(keys, k) == np.sort(keys)[-k]


@pytest.mark.parametrize("width", [1, 7, 8, 100, 128, 129, 276, 1_000])
def test_scores_are_to_the_bit_those_of_the_dense_pass(width: int) -> None:
    rng = np.random.default_rng(width)
    users, items = rng.standard_normal((2, 200, width)).astype(np.float32)
    rows = np.arange(200)
    ours = [dot(user, item) for user, item in zip(users, items, strict=True)]
    assert np.array_equal(ours, dot_products(users, items, rows, rows))
