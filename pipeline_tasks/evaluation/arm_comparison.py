"""Two groups of different users held beside each other: intervals of their means, and of the difference."""

from dataclasses import dataclass

import numpy as np

from pipeline_tasks.evaluation.intervals import FLIPS, RESAMPLES
from pipeline_tasks.evaluation.ranking_metrics import Reals


@dataclass(frozen=True)
class Difference:
    """Of the means of two groups, the second less the first."""

    mean: float
    low: float
    high: float
    p: float
    """Two-sided, of "who is in which group makes no difference"."""


def compare_groups(first: Reals, second: Reals, level: float = 0.95, seed: int = 0) -> Difference:
    """Return the difference of the means of (n,) and (m,) values, one for each user.

    The interval is a percentile bootstrap, each group drawn again by itself 1,000 times; p is a permutation test: 4,000
    times as many users are called the second group at random (1 is added to both counts, so p is never 0).
    """
    rng = np.random.default_rng(seed)
    draws = _means(rng, second) - _means(rng, first)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    observed = second.mean() - first.mean()
    return Difference(float(observed), float(low), float(high), _permutation_p(rng, first, second, float(observed)))


def _means(rng: np.random.Generator, values: Reals) -> Reals:
    return np.array([values[rng.integers(0, len(values), len(values))].mean() for _ in range(RESAMPLES)])


def _permutation_p(rng: np.random.Generator, first: Reals, second: Reals, observed: float) -> float:
    together = np.concatenate([first, second])
    total, n, m = together.sum(), len(first), len(second)
    # Differences that are equal but for rounding count as reached.
    slack = 1e-9 * np.abs(together).mean()
    reached = 0
    for _ in range(FLIPS):
        drawn = rng.permutation(together)[:m].sum()
        reached += abs(drawn / m - (total - drawn) / n) >= abs(observed) - slack
    return (reached + 1) / (FLIPS + 1)
