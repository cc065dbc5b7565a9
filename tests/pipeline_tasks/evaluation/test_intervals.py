import numpy as np
import pytest
from scipy.stats import permutation_test

from pipeline_tasks.evaluation import intervals
from pipeline_tasks.evaluation.intervals import mean_interval, mean_intervals, sign_flip_p_values


def test_interval_covers_the_mean_at_its_level() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(60):
        low, high = mean_interval(rng.exponential(1.0, 80), seed=seed)
        covered += low <= 1.0 <= high
    assert 50 <= covered <= 60
    values = rng.random(50)
    low, high = mean_interval(values, level=0.95)
    # Student's interval of the same mean, within a tenth of its width.
    half = 2.01 * values.std(ddof=1) / np.sqrt(50)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.2 * half)


def test_joint_rows_equal_single_rows_and_chunks_change_little(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).random((3, 200))
    low, high = mean_intervals(values)
    for row in range(3):
        assert (low[row], high[row]) == pytest.approx(mean_interval(values[row]))
    monkeypatch.setattr(intervals, "_CELLS", 200 * 7)
    again = mean_intervals(values)
    np.testing.assert_allclose(again, (low, high), atol=0.02)


def test_paired_tests_remove_variance_between_users() -> None:
    shared = np.random.default_rng(0).normal(0, 10, 200)
    assert mean_interval((shared + 0.5) - shared) == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize("shift", [0.0, 0.12, 0.25])
def test_p_values_equal_those_of_scipy(shift: float) -> None:
    differences = np.random.default_rng(5).normal(shift, 1, 150)
    pairs = (differences, np.zeros(150))
    options = {"permutation_type": "samples", "n_resamples": 4_000, "rng": 1, "vectorized": True}
    theirs = permutation_test(pairs, lambda x, y, axis: np.mean(x - y, axis=axis), **options)
    assert sign_flip_p_values(differences[None])[0] == pytest.approx(theirs.pvalue, abs=0.02)


def test_p_values_of_zero_and_of_large_differences() -> None:
    rng = np.random.default_rng(8)
    alike = sign_flip_p_values(rng.normal(0, 1, (300, 60)))
    assert 0.02 <= (alike < 0.05).mean() <= 0.09
    nothing, everything = sign_flip_p_values(np.stack([np.zeros(60), np.ones(60)]))
    assert nothing == 1
    assert everything == pytest.approx(1 / (intervals.FLIPS + 1))
