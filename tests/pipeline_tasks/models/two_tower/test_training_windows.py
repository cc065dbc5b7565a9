import numpy as np
import pytest

from pipeline_tasks.data.popularity_features import PopularityFeatures, bucket_starts, choose_horizons
from pipeline_tasks.encoders.whitening import fit_whitening
from pipeline_tasks.models.two_tower.training_windows import (
    TargetDraw,
    batch_windows,
    cut_windows,
    gap_buckets,
    last_windows,
)
from pipeline_tasks.times import DAY
from tests.pipeline_tasks.logs import log_of, random_log

WEIGHTS = np.ones(5, dtype=np.float32)


def test_windows_hold_every_event_of_longer_histories_once() -> None:
    log = random_log(30, 9, seed=1)
    windows = cut_windows(log, 5, np.random.default_rng(0))
    events = windows[windows >= 0]
    assert sorted(events.tolist()) == list(range(len(log.items)))
    rows = np.where(windows >= 0, log.rows[windows], -1)
    assert all(len(set(row[row >= 0])) == 1 for row in rows)
    # Left-aligned: nothing follows a gap.
    assert ((windows[:, :-1] >= 0) | (windows[:, 1:] < 0)).all()


def test_batches_hold_every_event_once_in_few_shapes() -> None:
    log, rng = random_log(400, 30, seed=1), np.random.default_rng(0)
    shapes = set()
    for _ in range(5):
        batches = batch_windows(cut_windows(log, 25, rng), 128, rng)
        events = np.concatenate([batch[batch >= 0] for batch in batches])
        assert sorted(events.tolist()) == list(range(len(log.items)))
        shapes |= {batch.shape for batch in batches}
    assert all(windows == 128 // length for windows, length in shapes)
    assert {length for _, length in shapes} <= {2, 3, 4, 6, 8, 12, 16, 24, 25}


def test_a_single_batch_is_not_filled_up() -> None:
    windows = np.array([[0, 1, 2], [3, 4, -1]])
    batches = batch_windows(windows, 1000, np.random.default_rng(0))
    assert [sorted(batch.tolist()) for batch in batches] == [[[0, 1, 2], [3, 4, -1]]]


def test_last_windows_keep_the_end() -> None:
    log = log_of({"a": [(1, 1), (2, 2), (3, 3)], "b": [], "c": [(4, 4)]})
    assert last_windows(log, 2).tolist() == [[1, 2], [-1, -1], [3, -1]]


def test_a_basket_is_no_target_of_itself_or_of_another_user() -> None:
    log = log_of({"a": [(1, 1), (2, 1), (3, 5), (4, 5)], "b": [(5, 5), (6, 6)]})
    draw = TargetDraw(log, reach=10, type_weights=WEIGHTS, repeat_weight=1.0)
    items, weights = draw.draw(np.repeat(np.arange(6), 50), 4, np.random.default_rng(0))
    seen = [
        set(items[number * 50 : number * 50 + 50][weights[number * 50 : number * 50 + 50] > 0]) for number in range(6)
    ]
    assert seen == [{3, 4}, {3, 4}, set(), set(), {6}, set()]


def test_reach_and_repeats() -> None:
    log = log_of({"a": [(1, 1), (2, 2), (1, 3), (3, 4)]})
    draw = TargetDraw(log, reach=2, type_weights=WEIGHTS, repeat_weight=0.25)
    items, weights = draw.draw(np.zeros(200, dtype=np.int64), 1, np.random.default_rng(0))
    assert {(int(item), float(weight)) for item, weight in zip(items[:, 0], weights[:, 0], strict=True)} == {
        (2, 1.0),
        (1, 0.25),
    }


def test_gaps_grow_with_time_and_start_anew() -> None:
    log = log_of({"a": [(1, 0), (2, 0), (3, 1), (4, 300)], "b": [(1, 900)]})
    gaps = gap_buckets(log, 16)
    assert gaps[[0, 1, 4]].tolist() == [0, 0, 0]
    assert 0 < gaps[2] < gaps[3] < 16


def test_popularity_features_count_only_earlier_events() -> None:
    log = log_of({"a": [(0, 0), (1, 9), (1, 10)], "b": [(1, 10), (0, 20)]})
    trends = PopularityFeatures(log, 3, [2 * DAY, 100 * DAY])
    at = trends.at(10 * DAY)
    # Before day 10: item 1 once within two days, item 0 once within a hundred.
    assert at[:, 0].tolist() == pytest.approx(np.log(np.array([1, 2, 1]) / (1 / 3 + 1)).tolist())
    assert at[:, 1].tolist() == pytest.approx(np.log(np.array([2, 2, 1]) / (2 / 3 + 1)).tolist())
    assert choose_horizons(log)[-1] == 20 * DAY
    assert choose_horizons(log_of({"a": [(0, 0), (1, 0)]})) == []
    assert (np.diff(bucket_starts(log, 4)) > 0).all()


def test_whitened_vectors_are_uncorrelated_and_constant_axes_vanish() -> None:
    rng = np.random.default_rng(0)
    raw = (rng.standard_normal((200, 3)) @ rng.standard_normal((3, 8)) + 7).astype(np.float32)
    center, turn = fit_whitening(raw, 5)
    white = (raw - center) @ turn
    np.testing.assert_allclose(np.cov(white[:, :3], rowvar=False, bias=True), np.eye(3), atol=1e-3)
    np.testing.assert_allclose(white[:, 3:], 0, atol=1e-3)
    assert not fit_whitening(np.ones((5, 8), dtype=np.float32), 4)[1].any()
