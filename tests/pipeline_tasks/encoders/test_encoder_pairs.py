import numpy as np
import pytest

from pipeline_tasks.data.interactions import Integers
from pipeline_tasks.encoders.encoder_pairs import PairDraw, Pairs, hold_out, item_pairs, query_pairs
from pipeline_tasks.errors import TrainingError
from pipeline_tasks.evaluation.metrics import Reals
from tests.pipeline_tasks.logs import log_of, random_log


def drawn(left: Integers, right: Integers, n_texts: int) -> Reals:
    """Return (texts, texts) the share of the draws that each pair has."""
    counts = np.zeros((n_texts, n_texts))
    np.add.at(counts, (left, right), 1)
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def test_pairs_co_occur_in_the_log() -> None:
    log = log_of({"a": [(0, 1), (1, 2)], "b": [(2, 1), (3, 2)], "c": [(4, 1)]})
    left, right = PairDraw(item_pairs(log, 5), 5).draw(300, np.random.default_rng(0))
    assert {frozenset(pair) for pair in zip(left.tolist(), right.tolist(), strict=True)} == {
        frozenset((0, 1)),
        frozenset((2, 3)),
    }
    assert set(left.tolist()) == {0, 1, 2, 3}
    with pytest.raises(TrainingError, match="no pairs to learn from"):
        item_pairs(log_of({"c": [(4, 1)]}), 5)


@pytest.mark.parametrize("steps", [1, 8])
def test_a_walk_draws_every_pair_as_often_as_single_draws_do(steps: int) -> None:
    pairs = Pairs(np.array([0, 0, 0, 1, 3]), np.array([1, 2, 3, 2, 4]), np.array([1, 2, 3, 4, 5], np.float32))
    left, right = PairDraw(pairs, 5).draw(60_000, np.random.default_rng(1), steps)
    expected = np.zeros((5, 5))
    expected[pairs.left, pairs.right] = expected[pairs.right, pairs.left] = pairs.weights / pairs.weights.sum() / 2
    np.testing.assert_allclose(drawn(left, right, 5), expected, atol=0.01)


def test_a_walk_has_half_the_texts() -> None:
    draw = PairDraw(item_pairs(random_log(200, 5_000, seed=1), 5_000), 5_000)
    texts = [len(np.unique(draw.draw(64, np.random.default_rng(2), steps))) for steps in (1, 8)]
    assert texts[1] < 0.6 * texts[0]


def test_queries_are_on_the_left_by_their_share() -> None:
    queries, asked = query_pairs(["Red  kettle", "red kettle", "", "sofa"], np.array([0, 0, 1, 2]), 3)
    assert queries == ["red kettle", "sofa"]
    assert (asked.left.tolist(), asked.right.tolist()) == ([3, 4], [0, 2])
    np.testing.assert_allclose(asked.weights, [2**0.5, 1])
    items = Pairs(np.array([0, 1]), np.array([1, 2]), np.ones(2, np.float32))
    draw = PairDraw(items, 5, asked, query_share=0.5)
    left, right = draw.draw(10_000, np.random.default_rng(3))
    assert (left >= 3).mean() == pytest.approx(0.5)
    assert right.max() < 3
    assert draw.known[3, 0] > 0
    np.testing.assert_allclose(np.bincount(right, minlength=3) / 10_000, np.exp(draw.log_share[:3]), atol=0.02)
    nobody = query_pairs(["", ""], np.array([0, 1]), 3)
    assert nobody[0] == []
    assert PairDraw(items, 3, nobody[1]).query_share == 0


def test_held_out_pairs_are_not_drawn() -> None:
    pairs = item_pairs(random_log(100, 50, seed=2), 50)
    learned, held = hold_out(pairs, 20, np.random.default_rng(4))
    assert len(held) == min(20, len(pairs) // 20)
    assert len(learned) + len(held) == len(pairs)
    seen = set(zip(*PairDraw(learned, 50).draw(5_000, np.random.default_rng(5)), strict=True))
    assert not seen & set(zip(held.left, held.right, strict=True))
