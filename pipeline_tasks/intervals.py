"""Bootstrap confidence intervals over shoppers, and of paired differences on the same shoppers."""

import numpy as np

from pipeline_tasks.ranking_metrics import Reals

RESAMPLES = 1_000


def mean_interval(values: Reals, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean (Efron 1979), from 1,000 resamples of shoppers."""
    rng = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        means[number] = values[rng.integers(0, len(values), len(values))].mean()
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_difference(ours: Reals, theirs: Reals, seed: int = 0) -> tuple[float, float, float]:
    """Return the mean of ours - theirs, shopper by shopper, and its interval."""
    difference = ours - theirs
    return (float(difference.mean()), *mean_interval(difference, seed=seed))
