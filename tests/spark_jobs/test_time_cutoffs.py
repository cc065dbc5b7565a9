from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_tasks.moments import DAY
from spark_jobs.time_cutoffs import Cutoffs, TooFewEventsError, find_cutoffs

START = datetime(2026, 11, 1, tzinfo=UTC)


def cutoffs(seconds: list[int]) -> Cutoffs:
    """Events at so many seconds after START, over several days."""
    moments = [round((START + timedelta(seconds=second)).timestamp() * 1e6) for second in seconds]

    def counts(first: int, end: int, width: int) -> Counter[int]:
        return Counter(moment - moment % width for moment in moments if first <= moment < end)

    return find_cutoffs(Counter(moment - moment % DAY for moment in moments), counts)


def test_a_hundred_distinct_moments_split_exactly() -> None:
    cut = cutoffs([4_000 * n for n in range(100)])
    assert (cut.train, cut.validation, cut.test) == (60, 20, 20)
    assert cut.train_end == START + timedelta(seconds=240_000, microseconds=-1)


def test_events_of_one_moment_stay_together_in_the_later_part() -> None:
    cut = cutoffs([0, 10, 20, 30, 40, 60, 60, 60, 90, 95])
    assert (cut.train, cut.validation, cut.test) == (5, 3, 2)


def test_two_events_or_one_moment_cannot_be_split() -> None:
    with pytest.raises(TooFewEventsError, match="2 events cannot be split"):
        cutoffs([0, 1])
    with pytest.raises(TooFewEventsError, match="too many share one moment; choose a longer window"):
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
    ties = max(Counter(seconds).values())
    assert 0 <= len(seconds) * 6 // 10 - cut.train < ties
    assert 0 <= len(seconds) * 8 // 10 - cut.train - cut.validation < ties
