from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_tasks.data.split_parts import FutureLeakError, Parts, refuse_future, split_parts
from tests.pipeline_tasks.logs import log_of, random_log

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOG = log_of({"a": [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)], "b": [(6, 3), (7, 9)]})


def temporal(first: int, second: int) -> Parts:
    ends = {"train_end": EPOCH + timedelta(days=first), "validation_end": EPOCH + timedelta(days=second)}
    return split_parts(LOG, {"strategy": "temporal", **ends})


def test_an_event_at_a_temporal_cut_off_belongs_to_the_earlier_part() -> None:
    parts = temporal(2, 4)
    assert parts.known_before("validation").items.tolist() == [1, 2]
    assert parts.future("validation").items.tolist() == [3, 4, 6]
    assert parts.known_before("test").items.tolist() == [1, 2, 3, 4, 6]
    assert parts.future("test").items.tolist() == [5, 7]


def test_leave_one_out_needs_three_events() -> None:
    parts = split_parts(LOG, {"strategy": "leave_one_out"})
    assert parts.known_before("validation").items.tolist() == [1, 2, 3, 6, 7]
    assert parts.future("validation").items.tolist() == [4]
    assert parts.future("test").items.tolist() == [5]


@given(st.sampled_from(["leave_one_out", "per_user"]), st.integers(0, 50))
def test_parts_are_disjoint_and_complete(strategy: str, seed: int) -> None:
    log = random_log(8, 5, seed)
    parts = split_parts(log, {"strategy": strategy})
    pieces = [parts.known_before("validation"), parts.future("validation"), parts.future("test")]
    assert np.array_equal(sum(piece.lengths for piece in pieces), log.lengths)
    for user in range(len(log)):
        joined = np.concatenate([piece.select(np.array([user])).items for piece in pieces])
        assert np.array_equal(joined, log.select(np.array([user])).items)


def test_an_unknown_strategy_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'random' is unknown: use temporal"):
        split_parts(LOG, {"strategy": "random"})


def test_one_event_too_many_or_too_late_is_a_leak() -> None:
    parts = temporal(2, 4)
    allowed = parts.known_before("test")
    refuse_future("honest", parts.known_before("validation").data_extent, allowed)
    refuse_future("honest", allowed.data_extent, allowed)
    with pytest.raises(FutureLeakError, match="peeking was fitted on 7 events"):
        refuse_future("peeking", LOG.data_extent, allowed)
    with pytest.raises(FutureLeakError):
        refuse_future("peeking", parts.future("test").data_extent, allowed)
