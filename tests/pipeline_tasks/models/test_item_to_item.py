import numpy as np
import pytest

from pipeline_tasks.data.interactions import Interactions, step_numbers
from pipeline_tasks.models.item_to_item import count_successors, recent_items, sequence_item_to_item
from tests.pipeline_tasks.logs import log_of, random_log


def test_pairs_are_directed_and_fade_with_the_gap() -> None:
    pairs = count_successors(log_of({"a": [(0, 1), (1, 2), (2, 3)], "b": [(0, 1), (1, 5)]}), 3).toarray()
    assert pairs.tolist() == [[0, 2, pytest.approx(0.8)], [0, 0, 1], [0, 0, 0]]


def test_a_basket_has_no_order() -> None:
    log = log_of({"a": [(0, 1), (1, 1), (2, 3)], "b": [(3, 3), (0, 4)]})
    assert step_numbers(log).tolist() == [0, 0, 1, 2, 3]
    pairs = count_successors(log, 4)
    assert pairs[0, 1] == pairs[1, 0] == 0
    assert pairs[0, 2] == pairs[1, 2] == 1
    assert pairs[2, 3] == 0
    assert recent_items(log, 4).toarray().tolist() == [
        [pytest.approx(0.6), pytest.approx(0.6), 1, 0],
        [1, 0, 0, pytest.approx(0.6)],
    ]


def test_scores_agree_with_a_loop() -> None:
    log = random_log(20, 9, seed=3)
    model = sequence_item_to_item(log, 9, power=0.3)
    counts = np.maximum(np.bincount(log.items, minlength=9), 1)
    weights = count_successors(log, 9).toarray() / counts[:, None] ** 0.5 / counts[None, :] ** 0.3
    expected = np.zeros((len(log), 9))
    steps = step_numbers(log)
    for row in range(len(log)):
        events = range(log.offsets[row], log.offsets[row + 1])
        for event in events:
            expected[row] += 0.6 ** (steps[events[-1]] - steps[event]) * weights[log.items[event]]
    np.testing.assert_allclose(model.scores(log), expected, rtol=1e-4, atol=1e-6)


def test_a_new_user_has_no_rating_bias() -> None:
    model = sequence_item_to_item(random_log(20, 9, seed=3), 9)
    new_user: Interactions = log_of({"new": []})
    assert model.scores(new_user).tolist() == [[0.0] * 9]
