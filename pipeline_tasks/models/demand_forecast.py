"""Expected purchases of each item over the coming days, with an interval: a discounted Gamma-Poisson model.

An item's rate is estimated from its own purchases, with lower weights for older days, and shrunk towards the shop's
mean where there are few (West and Harrison, Bayesian Forecasting and Dynamic Models, 2nd ed., 14.4: discounted
conjugate updating). Weekday pattern and trend are those of the whole shop, because single items are too sparse. Given
the rate's posterior, a sum of purchases is negative binomial. Its interval is widened until a backtest reaches the
nominal coverage.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline_tasks.data.interactions import Flags
from pipeline_tasks.topk.arrays import Indices, Scores

HORIZONS: Final = (7, 14)
COVERAGE: Final = 0.8
DISCOUNT: Final = 0.95
"""Weight of a day relative to the day after it; half of the total weight is on the last 13 days."""
_TREND_DAMPING: Final = 0.9
"""Damping of the trend per day, so that it fades within a week or two."""
_MAX_TREND: Final = 0.03
"""Bound of the log growth per day; anything steeper is a one-time event."""
_WIDENINGS: Final = (1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 13.0)


@dataclass(frozen=True)
class Sales:
    """Daily purchases of n items over t days; the last day is that of the run."""

    counts: npt.NDArray[np.int64]
    """(n, t)."""
    there: Flags
    """(n, t) whether the item was in the catalog."""
    weekdays: Indices
    """(t,) 0 to 6."""

    def until(self, days: int) -> "Sales":
        """Return the first `days` days."""
        return Sales(self.counts[:, :days], self.there[:, :days], self.weekdays[:days])


@dataclass(frozen=True)
class Forecast:
    """(n,) expected sum of purchases over one horizon, and the bounds of its interval."""

    expected: Scores
    low: Scores
    high: Scores


def forecast(sales: Sales, days: int, growth: float | None = None, widening: float = 1.0) -> Forecast:
    """Return the forecast of the sum of the next `days` days.

    Args:
        growth: expected buyers of the coming week relative to the past week (from purchase intent); None if unknown.
        widening: factor by which the posterior's information is reduced; see `calibrate`.
    """
    from scipy.stats import nbinom

    season = weekday_pattern(sales)
    trend = _trend(sales, season)
    ages = np.arange(sales.counts.shape[1] - 1, -1, -1)
    weights = DISCOUNT**ages
    bought = sales.counts @ weights
    # The trend scales past days to today's level, so that the rates are those of today.
    exposure = sales.there @ (weights * season[sales.weekdays] * np.exp(-trend * ages))
    shape, rate = _prior(bought, exposure)
    ahead = (sales.weekdays[-1] + 1 + np.arange(days)) % 7
    load = float((season[ahead] * np.exp(_log_growth(trend, days, growth))).sum())
    posterior = (shape + bought) / widening
    expected = (shape + bought) / (rate + exposure) * load
    success = posterior / (posterior + expected)
    tail = (1 - COVERAGE) / 2
    low, high = (nbinom.ppf(share, posterior, success) for share in (tail, 1 - tail))
    return Forecast(expected, np.asarray(low), np.asarray(high))


def weekday_pattern(sales: Sales) -> Scores:
    """Return (7,) factors of the shop's weekdays with mean 1, shrunk towards 1 if there are few weeks."""
    totals = sales.counts.sum(axis=0).astype(np.float64)
    mean = totals.mean() if totals.size and totals.sum() else 1.0
    seen = np.bincount(sales.weekdays, minlength=7)
    sums = np.bincount(sales.weekdays, weights=totals, minlength=7)
    factors: Scores = (sums / mean + 2) / (seen + 2)
    return np.asarray(factors / factors.mean())


def calibrate(sales: Sales, days: int) -> tuple[float, float]:
    """Return the smallest widening with a coverage of 80 % over the last `days` days, and its coverage."""
    found = (_WIDENINGS[-1], 0.0)
    for widening in _WIDENINGS:
        found = (widening, backtest(sales, days, widening)["coverage"])
        if found[1] >= COVERAGE:
            break
    return found


def backtest(sales: Sales, days: int, widening: float, ago: int | None = None) -> dict[str, float]:
    """Forecast `days` days from `ago` days before the end (`days` by default), and compare with the actual purchases.

    Returns:
        coverage of the interval, mean absolute error, and that of the naive forecast (the sum of the `days` before).
    """
    length = sales.counts.shape[1]
    start = length - (ago or days)
    known, actual = sales.until(start), sales.counts[:, start : start + days].sum(axis=1)
    there = known.there[:, -1]
    made = forecast(known, days, widening=widening)
    within = (made.low <= actual) & (actual <= made.high)
    before = known.counts[:, -days:].sum(axis=1)
    if not there.any():
        return {"coverage": 1.0, "mae": 0.0, "naive_mae": 0.0}
    return {
        "coverage": float(within[there].mean()),
        "mae": float(np.abs(made.expected - actual)[there].mean()),
        "naive_mae": float(np.abs(before - actual)[there].mean()),
    }


def _prior(bought: Scores, exposure: Scores) -> tuple[float, float]:
    """Return shape and rate of the Gamma prior of the items' rates, by their mean and excess variance."""
    known = exposure > 0
    total = float(exposure[known].sum())
    mean = float(bought[known].sum()) / total if total else 0.0
    if mean == 0:
        # Without any purchase, the prior assumes one purchase in the exposure of the whole catalog.
        return 1.0, max(total, 1.0)
    rates = bought[known] / exposure[known]
    spread = float((exposure[known] * (rates - mean) ** 2).sum()) / total
    noise = mean * len(rates) / total
    excess = max(spread - noise, 0.01 * mean**2)
    return mean**2 / excess, mean / excess


def _log_growth(daily: float, days: int, growth: float | None) -> Scores:
    """Return (days,) log factors of the level: the mean of the damped trend and of the growth by purchase intent."""
    trend = daily * np.cumsum(_TREND_DAMPING ** np.arange(1, days + 1))
    if growth is None:
        return np.asarray(trend)
    return np.asarray((trend + np.log(np.clip(growth, 0.5, 2.0))) / 2)


def _trend(sales: Sales, season: Scores) -> float:
    """Return the shop's log growth per day, shrunk towards 0 by its uncertainty (James and Stein, 1961)."""
    totals = (sales.counts.sum(axis=0) + 0.5) / season[sales.weekdays]
    days = np.arange(len(totals), dtype=np.float64)
    if len(totals) < 10:
        return 0.0
    centered, logs = days - days.mean(), np.log(totals)
    slope = float((centered * logs).sum() / (centered**2).sum())
    residual = logs - logs.mean() - slope * centered
    variance = float((residual**2).sum() / (len(days) - 2) / (centered**2).sum())
    shrunk = slope * max(0.0, 1 - variance / slope**2) if slope else 0.0
    return float(np.clip(shrunk, -_MAX_TREND, _MAX_TREND))
