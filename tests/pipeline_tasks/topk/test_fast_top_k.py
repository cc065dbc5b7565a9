import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_tasks.topk import top_k as module
from pipeline_tasks.topk.arrays import Vectors, dot_products
from pipeline_tasks.topk.fast_top_k import fast_top_k, prepare
from pipeline_tasks.topk.first_pass import first_pass, multiplies_bytes
from pipeline_tasks.topk.select_kernels import TILE, error_of, reached_by
from pipeline_tasks.topk.settle_kernels import dot
from pipeline_tasks.topk.top_k import top_k
from tests.pipeline_tasks.topk.test_top_k import brute_force, exclusions_of, lists_of, problems


@pytest.fixture(autouse=True)
def always_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the fast path for tables of any size."""
    monkeypatch.setattr(module, "REPAID", 0)
    monkeypatch.setattr(module, "SMALL_CALL", 0)


@settings(max_examples=150, deadline=None)
@given(problems())
def test_equals_brute_force(problem: tuple[Vectors, Vectors, int, list[set[int]], int]) -> None:
    users, items, k, excluded, block = problem
    result = top_k(users, items, k, exclusions_of(excluded), block)
    assert lists_of(result) == brute_force(users, items, k, excluded)


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize("shift", [0.0, 50.0, -50.0])
def test_both_first_passes_equal_the_dense_one(small: bool, shift: float) -> None:
    """Also where a part that all items share is many times larger than their differences."""
    rng = np.random.default_rng(7)
    users = rng.standard_normal((700, 40)).astype(np.float32)
    items = (rng.standard_normal((20_000, 40)) + shift).astype(np.float32)
    banned = exclusions_of([set(rng.integers(0, 20_000, 30).tolist()) for _ in users])
    dense = list(module._parts(users, items, 20, banned, 256))
    fast = list(fast_top_k(users, items, 20, banned, first_pass(items, small)))
    assert all((counts == 20).all() for _, counts, _, _ in fast)
    assert np.array_equal(np.concatenate([part[2] for part in fast]), np.concatenate([part[1] for part in dense]))
    assert np.array_equal(np.concatenate([part[3] for part in fast]), np.concatenate([part[2] for part in dense]))


def test_dimensions_of_different_size_give_int8_no_more_candidates() -> None:
    """Like a trained model: a few large popularity features, and hundreds of small embedding dimensions."""
    if not multiplies_bytes():
        pytest.skip("this processor does not sum products of bytes in one instruction")
    rng = np.random.default_rng(8)
    users = rng.standard_normal((100, 64)).astype(np.float32)
    items = rng.standard_normal((20_000, 64)).astype(np.float32)
    items[:, :4] *= 60.0
    users[:, :4] /= 60.0
    unbalanced, balanced = first_pass(items, True), prepare(users, items, 20)
    assert balanced.is_bytes
    dense = next(iter(module._parts(users, items, 20, None, 100)))
    counts, columns, scores = next(fast_top_k(users, items, 20, None, balanced))[1:]
    assert (counts == 20).all()
    assert np.array_equal(columns, dense[1])
    assert np.array_equal(scores, dense[2])
    assert (next(fast_top_k(users, items, 20, None, unbalanced))[1] < 0).mean() > 0.5


@pytest.mark.filterwarnings("error")
def test_mapped_read_only_items_give_equal_scores() -> None:
    rng = np.random.default_rng(9)
    users, items = rng.standard_normal((30, 16), np.float32), rng.standard_normal((500, 16), np.float32)
    expected = top_k(users, items, 5)
    users.flags.writeable = items.flags.writeable = False
    result = top_k(users, items, 5)
    assert np.array_equal(result.items, expected.items)
    assert np.array_equal(result.scores, expected.scores)


def test_mapped_items_are_prepared_once_for_many_batches() -> None:
    rng = np.random.default_rng(9)
    users, versions = rng.standard_normal((30, 16), np.float32), rng.standard_normal((3, 500, 16), np.float32)
    versions.flags.writeable = False
    first = prepare(users, versions[0], 5)
    assert prepare(2 * users, versions[0], 5) is first
    for version in versions:
        prepare(users, version, 5)
    assert prepare(users, versions[0], 5) is not first, "two are kept, not all that ever were"


def test_users_with_too_many_equal_scores_are_scored_densely() -> None:
    rng = np.random.default_rng(3)
    users = rng.standard_normal((40, 8)).astype(np.float32)
    items = rng.standard_normal((6_000, 8)).astype(np.float32)
    # For users along the first axis, 4,000 best items are equal; for others they differ.
    users[::3] = np.eye(1, 8, dtype=np.float32)
    items[500:4_500, 0] = 9.0
    banned = exclusions_of([{500, 501} if user % 2 else {700} for user in range(40)])
    counts = next(fast_top_k(users, items, 10, banned, first_pass(items, True)))[1]
    assert set(range(0, 40, 3)) <= set(np.flatnonzero(counts < 0)) < set(range(40))
    result = top_k(users, items, 10, banned)
    dense = list(module._parts(users, items, 10, banned, 64))
    assert np.array_equal(result.items, np.concatenate([part[1] for part in dense]))
    assert result.items[:11].tolist() == [*range(500, 510), result.items[10]]


def test_users_with_a_wrong_guessed_bound_are_scored_densely() -> None:
    rng = np.random.default_rng(4)
    users, items = rng.standard_normal((20, 8), np.float32), rng.standard_normal((20_000, 8), np.float32)
    prepared = first_pass(items, True)
    # For the first ten users, the random sample scores far above all other items.
    users[:10, 0], items[prepared.order[: prepared.sampled], 0] = 9.0, 9.0
    assert (next(fast_top_k(users, items, 60, None, first_pass(items, True)))[1][:10] < 0).all()
    result = top_k(users, items, 60)
    dense = list(module._parts(users, items, 60, None, 64))
    assert np.array_equal(result.items, np.concatenate([part[1] for part in dense]))


@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=50), st.integers(1, 50))
def test_k_numbers_reach_the_bound(numbers: list[float], k: int) -> None:
    exact = np.array(numbers, np.float32)
    k = min(k, len(exact))
    bound = reached_by(exact, k)
    assert (exact >= bound).sum() >= k
    assert (exact > np.sort(exact)[-k]).sum() < k <= (exact >= np.sort(exact)[-k]).sum()
    assert bound <= np.sort(exact)[-k]
    assert (exact > bound).sum() <= k or bound == np.sort(exact)[-k]


@pytest.mark.parametrize("width", [1, 7, 8, 100, 128, 129, 276, 1_000])
def test_scores_are_bitwise_equal_to_the_dense_pass(width: int) -> None:
    rng = np.random.default_rng(width)
    users, items = rng.standard_normal((2, 200, width)).astype(np.float32)
    rows = np.arange(200)
    ours = [dot(user, item) for user, item in zip(users, items, strict=True)]
    assert np.array_equal(ours, dot_products(users, items, rows, rows))


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("width", [1, 2, 5, 16, 127, 128])
def test_byte_products_are_exact_or_not_used(width: int, balanced: bool) -> None:
    if not multiplies_bytes():
        pytest.skip("this processor does not sum products of bytes in one instruction")
    rng = np.random.default_rng(width)
    users, items = rng.choice([-1.0, 1.0, 0.5], (2, 300, width)).astype(np.float32)
    users[:, 0] = items[:, 0] = 127.0
    items[:, -1] *= 1_000.0
    prepared = first_pass(items, True, users if balanced else None)
    # With one dimension all items equal their mean, so nothing is left.
    assert (prepared.balance[-1] > 8) == (balanced and width > 1)
    multiplied, margins = prepared.multiplied(users)
    scores = np.concatenate([tile.copy() for _, tile in prepared.scores(multiplied)], axis=1)[:, : len(items)]
    meant = scores * margins.scales[:, None] * np.repeat(margins.tile_scales, TILE)[: len(items)]
    center = items.mean(axis=0, dtype=np.float64).astype(np.float32).astype(np.float64)
    exact = users.astype(np.float64) @ (items[prepared.order].astype(np.float64) - center).T
    errors = [[error_of(margins, row, place // TILE) for place in range(len(items))] for row in range(len(users))]
    assert (np.abs(meant - exact) <= errors).all()


@pytest.mark.parametrize("size", [1.0, 1e-18, 1e-21, 1e12])
def test_the_float32_pass_drops_no_item_of_the_result(size: float) -> None:
    """Also for items so close or so small that their float32 products are equal or zero."""
    rng = np.random.default_rng(11)
    users = (size * rng.standard_normal((64, 24))).astype(np.float32)
    around = rng.standard_normal((1, 24)) + 1e-7 * rng.standard_normal((3_000, 24))
    items = (size * np.concatenate([around, rng.standard_normal((9_000, 24))])).astype(np.float32)
    dense = list(module._parts(users, items, 40, None, 64))
    rows, places = np.divmod(np.arange(64 * len(items)), len(items))
    scores = dot_products(users, items, rows, places).reshape(64, -1)
    assert np.array_equal(dense[0][1].reshape(64, 40), np.argsort(-scores, axis=1, kind="stable")[:, :40])
    for small in (True, False):
        counts, columns, scores = next(fast_top_k(users, items, 40, None, first_pass(items, small)))[1:]
        settled = np.repeat(counts >= 0, np.where(counts < 0, 40, counts))
        expected = [part[settled] for part in (dense[0][1], dense[0][2])]
        assert np.array_equal(columns, expected[0])
        assert np.array_equal(scores, expected[1])
