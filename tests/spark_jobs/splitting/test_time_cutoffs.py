from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_tasks.times import DAY
from spark_jobs.splitting.time_cutoffs import Cutoffs, TooFewEventsError, find_cutoffs

START = datetime(2026, 11, 1, tzinfo=UTC)


def cutoffs(seconds: list[int]) -> Cutoffs:
    """Return the cut-offs of events at the given seconds after START, over several days."""
    times = [round((START + timedelta(seconds=second)).timestamp() * 1e6) for second in seconds]

    def counts(first: int, end: int, width: int) -> Counter[int]:
        return Counter(time - time % width for time in times if first <= time < end)

    return find_cutoffs(Counter(time - time % DAY for time in times), counts)


def test_a_hundred_distinct_times_split_exactly() -> None:
    cut = cutoffs([4_000 * n for n in range(100)])
    assert (cut.train, cut.validation, cut.test) == (60, 20, 20)
    assert cut.shares() == "train 60.0%, validation 20.0%, test 20.0%"
    assert cut.train_end == START + timedelta(seconds=240_000, microseconds=-1)


def test_events_of_one_time_stay_together_on_the_nearer_side() -> None:
    cut = cutoffs([0, 10, 20, 30, 40, 60, 60, 60, 90, 95])
    assert (cut.train, cut.validation, cut.test) == (5, 3, 2)
    assert cut.train_end == START + timedelta(seconds=60, microseconds=-1)
    cut = cutoffs([0, 10, 20, 30, 30, 30, 70, 80, 90, 95])
    assert (cut.train, cut.validation, cut.test) == (6, 2, 2)
    cut = cutoffs([0, 10, 20, 30, 30, 30, 30, 80, 90, 95])
    assert (cut.train, cut.validation, cut.test, cut.train_end) == (7, 1, 2, START + timedelta(seconds=30))


def test_one_large_order_moves_a_cut_as_little_as_possible() -> None:
    order = [500_000] * 3_100
    cut = cutoffs([*range(0, 400_000, 100), *order, *range(500_001, 501_401)])
    assert (cut.train, cut.validation, cut.test) == (4_000, 3_100, 1_400)
    assert (cut.train_end_ties, cut.validation_end_ties) == (3_100, 3_100)
    assert cut.shares() == "train 47.1%, validation 36.5%, test 16.5%, as 3,100 events share 2026-11-06 18:53:20"


def test_two_events_or_one_time_cannot_be_split() -> None:
    with pytest.raises(TooFewEventsError, match="2 events cannot be split"):
        cutoffs([0, 1])
    with pytest.raises(TooFewEventsError, match=r"50 of them share 2026-11-01 00:00:05\. .* choose a longer window"):
        cutoffs([5] * 50)


@given(st.lists(st.integers(0, 6 * 86_400), min_size=3, max_size=300))
def test_parts_are_disjoint_in_order_and_as_large_as_ties_allow(seconds: list[int]) -> None:
    try:
        cut = cutoffs(seconds)
    except TooFewEventsError:
        assert max(Counter(seconds).values()) > 1 or len(seconds) < 5
        return
    ends = [(end - START).total_seconds() for end in (cut.train_end, cut.validation_end)]
    assert ends[0] < ends[1]
    realized = (
        sum(second <= ends[0] for second in seconds),
        sum(ends[0] < second <= ends[1] for second in seconds),
        sum(second > ends[1] for second in seconds),
    )
    assert realized == (cut.train, cut.validation, cut.test)
    assert _off(seconds, cut.train, cut.train + cut.validation) == min(
        _off(seconds, one, other)
        for one, other in product(_beside(seconds, 6), _beside(seconds, 8))
        if 0 < one < other < len(seconds)
    )


def _beside(seconds: list[int], tenths: int) -> tuple[int, int]:
    """Return how many events are before the time of the event at so many tenths, and up to it."""
    time = sorted(seconds)[len(seconds) * tenths // 10]
    return sum(second < time for second in seconds), sum(second <= time for second in seconds)


def _off(seconds: list[int], train: int, both: int) -> int:
    parts = ((train, 6), (both - train, 2), (len(seconds) - both, 2))
    return max(abs(10 * part - share * len(seconds)) for part, share in parts)
