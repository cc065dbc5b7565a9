import numpy as np
import pytest

from pipeline_tasks.models.demand_forecast import COVERAGE, Sales, backtest, calibrate, forecast, weekday_pattern

RHYTHM = np.array([0.8, 0.8, 0.9, 1.0, 1.2, 1.5, 0.8])


def shop(items: int, days: int, growth: float = 0.0, seed: int = 6) -> Sales:
    """Return items of very different demand, a weekly rhythm, and a trend per day in logs."""
    rng = np.random.default_rng(seed)
    weekdays = np.arange(days) % 7
    level = rng.gamma(0.8, 0.6, items)
    rates = level[:, None] * RHYTHM[weekdays] * np.exp(growth * np.arange(days))
    return Sales(rng.poisson(rates), np.ones((items, days), bool), weekdays)


def test_intervals_hold_on_the_last_14_days() -> None:
    """The widening is chosen on the fortnight before the last; the last fortnight is held out."""
    sales = shop(800, 70)
    for days in (7, 14):
        widening, _ = calibrate(sales.until(56), days)
        outcome = backtest(sales, days, widening, ago=14)
        # Sums are whole numbers: an interval of 80 % at least holds somewhat more.
        assert COVERAGE <= outcome["coverage"] < 0.97
        assert outcome["mae"] < outcome["naive_mae"]


def test_volatile_sales_widen_the_intervals() -> None:
    calm = shop(300, 56)
    rng = np.random.default_rng(1)
    leaps = np.repeat(rng.gamma(0.5, 2.0, (300, 8)), 7, axis=1)
    wild = Sales(rng.poisson(leaps), calm.there, calm.weekdays)
    assert calibrate(wild, 14)[0] > calibrate(calm, 14)[0] == 1.0


def test_totals_follow_weekly_pattern_and_trend() -> None:
    flat = shop(2_000, 42)
    expected = forecast(flat, 7).expected.sum()
    assert expected == pytest.approx(flat.counts[:, -7:].sum(), rel=0.06)
    assert weekday_pattern(flat) == pytest.approx(RHYTHM / RHYTHM.mean(), rel=0.15)
    rising = shop(2_000, 42, growth=0.02)
    assert forecast(rising, 7).expected.sum() > rising.counts[:, -14:].sum() / 2 * 1.05


def test_purchase_intent_moves_the_level_halfway() -> None:
    sales = shop(2_000, 42)
    plain = forecast(sales, 7).expected.sum()
    assert forecast(sales, 7, growth=1.44).expected.sum() == pytest.approx(plain * 1.2, rel=0.05)
    assert forecast(sales, 7, growth=100.0).expected.sum() < plain * 1.5, "bounded"


def test_equal_rates_without_a_weekly_pattern_give_the_common_rate() -> None:
    """If all items have the same rate, the forecast is the common rate, even for items with few purchases."""
    counts = np.tile(np.array([[1, 0], [0, 1]]), (50, 14))
    made = forecast(Sales(counts, np.ones_like(counts, bool), np.arange(28) % 7), 14)
    assert made.expected == pytest.approx(np.full(100, 7.0), rel=0.02)
    assert (made.low < 7).all()
    assert (made.high > 7).all()


def test_new_items_and_items_that_never_sold_have_an_outlook() -> None:
    sales = shop(50, 28)
    counts, there = sales.counts.copy(), sales.there.copy()
    counts[0] = 0
    counts[1], there[1] = 0, False
    made = forecast(Sales(counts, there, sales.weekdays), 7)
    assert 0 <= made.expected[0] < made.expected[1], "never sold in 4 weeks; never there: the shop's mean"
    nothing = forecast(Sales(counts * 0, there, sales.weekdays), 7)
    assert np.isfinite(nothing.expected).all()
    assert (nothing.low == 0).all()
