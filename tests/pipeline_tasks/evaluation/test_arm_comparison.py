import numpy as np
import pytest

from pipeline_tasks.evaluation.intervals import compare_groups


def test_the_interval_holds_a_real_difference() -> None:
    rng = np.random.default_rng(3)
    found = compare_groups(rng.normal(0.2, 0.1, 300), rng.normal(0.25, 0.1, 200))
    assert found.low < 0.05 < found.high
    assert found.p < 0.01
    turned = compare_groups(rng.normal(0.25, 0.1, 200), rng.normal(0.2, 0.1, 300))
    assert turned.mean < 0
    assert turned.p < 0.01


def test_equal_groups_differ_as_often_as_chance_allows() -> None:
    rng = np.random.default_rng(4)
    p = np.array([compare_groups(rng.random(30), rng.random(50), seed=seed).p for seed in range(60)])
    assert 0.3 < (p < 0.5).mean() < 0.7
    assert (p < 0.05).mean() < 0.15


def test_identical_values_give_no_difference() -> None:
    found = compare_groups(np.full(9, 0.1), np.full(7, 0.1))
    assert (found.mean, found.low, found.high) == pytest.approx((0, 0, 0))
    assert found.p == 1
