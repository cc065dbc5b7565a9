"""Comparison of two groups of different users: the difference of their means, its interval and p value."""

from dataclasses import dataclass

import numpy as np

from pipeline_tasks.evaluation.intervals import FLIPS, RESAMPLES
from pipeline_tasks.evaluation.ranking_metrics import Reals


@dataclass(frozen=True)
class Difference:
    """Difference of the means of two groups: the second minus the first."""

    mean: float
    low: float
    high: float
    p: float
    """Two-sided p value of the hypothesis that group membership makes no difference."""


def compare_groups(first: Reals, second: Reals, level: float = 0.95, seed: int = 0) -> Difference:
    """Return the difference of the means of (n,) and (m,) values, one for each user.

    The interval is a percentile bootstrap of 1,000 resamples, in which each group is drawn separately. p comes from a
    permutation test with 4,000 random assignments of users to groups. 1 is added to both counts, so p is never 0.
    """
    rng = np.random.default_rng(seed)
    draws = _bootstrap_means(rng, second) - _bootstrap_means(rng, first)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    observed = second.mean() - first.mean()
    return Difference(float(observed), float(low), float(high), _permutation_p(rng, first, second, float(observed)))


def _bootstrap_means(rng: np.random.Generator, values: Reals) -> Reals:
    return np.array([values[rng.integers(0, len(values), len(values))].mean() for _ in range(RESAMPLES)])


def _permutation_p(rng: np.random.Generator, first: Reals, second: Reals, observed: float) -> float:
    together = np.concatenate([first, second])
    total, n, m = together.sum(), len(first), len(second)
    # A difference that is equal except for rounding counts as reached.
    slack = 1e-9 * np.abs(together).mean()
    reached = 0
    for _ in range(FLIPS):
        drawn = rng.permutation(together)[:m].sum()
        reached += abs(drawn / m - (total - drawn) / n) >= abs(observed) - slack
    return (reached + 1) / (FLIPS + 1)
