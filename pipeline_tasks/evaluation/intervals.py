"""Bootstrap confidence intervals over users, paired tests on the same users, and comparisons of two groups.

Several metrics or scorers share one set of resamples, so that one matrix product serves all of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import Floats
from pipeline_tasks.evaluation.metrics import Reals

RESAMPLES: Final = 1_000
FLIPS: Final = 4_000
_CELLS: Final = 4_000_000
"""Draws in memory at a time."""


def mean_intervals(values: Reals, level: float = 0.95, seed: int = 0) -> tuple[Reals, Reals]:
    """Return (m,) low and high ends of percentile bootstrap intervals (Efron 1979) of the means of `values` (m, n).

    Users are resampled 1,000 times, and every row uses the same resamples.
    """
    rng = np.random.default_rng(seed)
    n = values.shape[1]
    means = []
    for size in _chunks(RESAMPLES, n):
        draws = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        counts = np.bincount(draws.ravel(), minlength=size * n).reshape(size, n)
        means.append(counts.astype(np.float64) @ values.T / n)
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def mean_interval(values: Reals, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Return the interval of the mean of one row of values (n,), as `mean_intervals` does."""
    low, high = mean_intervals(values[None, :], level, seed)
    return float(low[0]), float(high[0])


def sign_flip_p_values(differences: Reals, seed: int = 0) -> Reals:
    """Return (m,) two-sided p values of "the mean of each row of `differences` (m, n) is 0".

    A Monte Carlo permutation test of paired data: if two scorers were equal, each user's difference could as well have
    the other sign. 1 is added to both counts (Phipson and Smyth 2010), so p is never 0, and with 4,000 flips at least
    .00025. The claim that ours beats every peer rests on the largest p value, without correction.
    """
    rng = np.random.default_rng(seed)
    n = differences.shape[1]
    observed = np.abs(differences.mean(axis=1))
    # Where all differences are 0, flips change a sum only by rounding. Such means count as reached.
    slack = 1e-9 * np.abs(differences).mean(axis=1)
    reached = np.zeros(len(differences))
    for size in _chunks(FLIPS, n):
        flipped = np.abs(_signs(rng, size, n) @ differences.T.astype(np.float32)) / n
        reached += (flipped >= observed * (1 - 1e-6) - slack).sum(axis=0)
    return (reached + 1) / (FLIPS + 1)


def _signs(rng: np.random.Generator, size: int, n: int) -> Floats:
    bits = np.unpackbits(np.frombuffer(rng.bytes((size * n + 7) // 8), dtype=np.uint8), count=size * n)
    return (bits.astype(np.float32) * 2 - 1).reshape(size, n)


def _chunks(total: int, n: int) -> Iterator[int]:
    size = max(1, _CELLS // max(n, 1))
    for start in range(0, total, size):
        yield min(size, total - start)


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
