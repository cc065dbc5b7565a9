from dataclasses import replace

import numpy as np
import pytest

from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.data.ratings import BinaryLabels
from pipeline_tasks.data.task_labels import Impressions
from pipeline_tasks.models.task_heads.click import ClickSampler
from pipeline_tasks.models.task_heads.labelled_examples import LabelledExamples, LabelSampler
from pipeline_tasks.models.task_heads.purchase_intent import PurchaseIntentSampler
from pipeline_tasks.models.task_heads.rating import RatingSampler
from pipeline_tasks.models.task_heads.session_converts import SessionSampler
from pipeline_tasks.tables.contracts import CHOSEN_TYPES
from pipeline_tasks.times import DAY, MINUTE, SESSION_GAP
from tests.pipeline_tasks.logs import random_log

RNG = np.random.default_rng(0)


def log_at(*histories: tuple[str, list[tuple[str, int, int]]]) -> Interactions:
    """(key, [(event type, item, time), …])."""
    events = [event for _, history in histories for event in history]
    keys = [key for key, _ in histories]
    return Interactions(
        keys,
        np.array([not key.startswith("session:") for key in keys]),
        np.concatenate([[0], np.cumsum([len(history) for _, history in histories])]).astype(np.int64),
        np.array([item for _, item, _ in events], np.int64),
        np.array([CHOSEN_TYPES.index(kind) for kind, _, _ in events], np.int64),
        np.array([time for _, _, time in events], np.int64),
    )


def labels_of(examples: LabelledExamples) -> dict[int, float]:
    return dict(zip(examples.events.tolist(), examples.labels.tolist(), strict=True))


def shown(*impressions: tuple[int, int, int]) -> Impressions:
    """(row, item, time)."""
    return Impressions(*(np.array(column, np.int64) for column in zip(*impressions, strict=True)))


LOG = log_at(
    (
        "a",
        [("view", 0, 0), ("purchase", 1, 2 * DAY), ("view", 2, 2 * DAY), ("view", 3, 12 * DAY), ("cart", 4, 20 * DAY)],
    ),
    ("b", [("view", 0, 1 * DAY), ("purchase", 1, 10 * DAY), ("view", 0, 19 * DAY), ("purchase", 5, 19 * DAY + 1)]),
    ("session:s", [("view", 0, DAY), ("purchase", 1, DAY + MINUTE)]),
)


def test_intent_is_a_purchase_within_seven_days_of_the_prediction_time() -> None:
    examples = PurchaseIntentSampler(LOG).sample_at(5 * DAY)
    # a bought before and not again; b 5 days later; the anonymous session has no user who could buy again.
    assert labels_of(examples) == {2: 0.0, 5: 1.0}
    assert labels_of(PurchaseIntentSampler(LOG).sample_at(2 * DAY)) == {0: 1.0, 5: 0.0}
    assert labels_of(PurchaseIntentSampler(LOG).sample_at(3 * DAY)) == {2: 0.0, 5: 1.0}
    assert labels_of(PurchaseIntentSampler(LOG).sample_at(3 * DAY - 1)) == {2: 0.0, 5: 0.0}


def test_an_unfinished_horizon_has_no_label() -> None:
    intent = PurchaseIntentSampler(LOG)
    assert not len(intent.sample_at(13 * DAY + 1).events)
    assert labels_of(intent.sample_at(13 * DAY)) == {3: 0.0, 6: 1.0}
    for seed in range(20):
        examples = intent.sample(np.arange(len(LOG.items)), np.random.default_rng(seed))
        assert (examples.prediction_times + 7 * DAY <= LOG.data_extent.last_timestamp).all()
        assert set(examples.events.tolist()) <= {0, 2, 3, 5, 6}


def test_a_prediction_time_is_between_two_events_and_weighs_their_gap() -> None:
    examples = PurchaseIntentSampler(LOG).sample(np.arange(len(LOG.items)), RNG)
    spans = dict(zip(examples.events.tolist(), examples.weights.tolist(), strict=True))
    # The first line of the basket of two stands for nothing; b's second is cut where seven days are left.
    assert spans == pytest.approx({0: 2, 2: 10, 3: 1, 5: 9, 6: 3})
    following = np.append(LOG.times[1:], LOG.times[-1])[examples.events]
    assert (examples.prediction_times >= LOG.times[examples.events]).all()
    assert (examples.prediction_times < following).all()


def test_a_session_ends_after_half_an_hour_without_an_event() -> None:
    log = log_at(
        (
            "a",
            [("view", 0, 0), ("view", 0, SESSION_GAP), ("purchase", 1, 2 * SESSION_GAP), ("view", 2, 3 * SESSION_GAP)],
        ),
        ("b", [("view", 0, 0), ("purchase", 1, SESSION_GAP + 1), ("view", 2, 9 * SESSION_GAP)]),
    )
    examples = SessionSampler(log).sample(np.arange(7), RNG)
    # How b's last session continues is unknown.
    assert labels_of(examples) == {0: 1.0, 1: 1.0, 2: 0.0, 3: 0.0, 4: 0.0, 5: 0.0}


def test_a_click_is_by_the_same_user_within_half_an_hour() -> None:
    log = log_at(
        ("a", [("view", 9, 0), ("click", 1, 10 * MINUTE), ("purchase", 2, 11 * MINUTE), ("view", 3, DAY)]),
        ("b", [("view", 9, 0), ("view", 1, 60 * MINUTE)]),
    )
    impressions = shown(
        (0, 1, 5 * MINUTE),
        (0, 2, 5 * MINUTE),
        (0, 1, 12 * MINUTE),
        (1, 1, 5 * MINUTE),
        (1, 1, 40 * MINUTE),
        (1, 9, 0),
        (0, 3, DAY - MINUTE),
    )
    examples = ClickSampler(log, impressions).sample(np.arange(6), RNG)
    found = sorted(
        zip(examples.events, examples.items, examples.prediction_times // MINUTE, examples.labels, strict=True)
    )
    # A purchase is no click; before b's first event nothing is known; the last could still be clicked.
    assert found == [(0, 1, 5, 1.0), (0, 2, 5, 0.0), (2, 1, 12, 0.0), (4, 1, 5, 0.0), (4, 1, 40, 1.0)]


def said(*ratings: tuple[int, int, int, bool]) -> BinaryLabels:
    """(row, item, time, liked)."""
    rows, items, times, liked = zip(*ratings, strict=True)
    return BinaryLabels(np.array(rows), np.array(items), np.array(times), np.array(liked))


def test_a_rating_is_predicted_from_the_history_before_it() -> None:
    log = log_at(
        ("a", [("rating", 1, 0), ("rating", 2, DAY), ("cart", 3, DAY), ("rating", 4, 2 * DAY)]),
        ("b", [("view", 1, 0), ("rating", 1, 3 * DAY)]),
    )
    ratings = said((0, 1, 0, True), (0, 2, DAY, True), (0, 4, 2 * DAY, False), (1, 1, 3 * DAY, True))
    examples = RatingSampler(log, ratings).sample(np.arange(6), RNG)
    found = list(zip(examples.events, examples.items, examples.prediction_times // DAY, examples.labels, strict=True))
    # Of a's first rating nothing is known before; the second and the cart are of one moment.
    assert found == [(0, 2, 1, 1.0), (2, 4, 2, 0.0), (4, 1, 3, 1.0)]
    assert (examples.prediction_times > log.times[examples.events]).all()


def test_earlier_labels_do_not_contain_the_label() -> None:
    """A flipped label changes the rating bias of later examples, but not that of its own example."""
    rng = np.random.default_rng(5)
    log = random_log(40, 12, seed=3)
    ratings = BinaryLabels(log.rows, log.items, log.times, rng.random(len(log.items)) < 0.5)
    events = np.arange(len(log.items))
    before = RatingSampler(log, ratings).sample(events, RNG)
    assert before.rating_bias is not None
    early = np.flatnonzero(before.prediction_times < 50 * DAY)
    for place in rng.choice(early, 20):
        moment = before.prediction_times[place]
        other = replace(ratings, liked=np.where(log.times >= moment, ~ratings.liked, ratings.liked))
        after = RatingSampler(log, other).sample(events, RNG)
        assert after.rating_bias is not None
        assert after.labels[place] != before.labels[place]
        np.testing.assert_array_equal(after.rating_bias[place], before.rating_bias[place])
        assert (after.rating_bias != before.rating_bias).any()


@pytest.mark.parametrize("task", ["purchase_intent", "session_converts", "click", "rating"])
def test_no_label_depends_on_later_events(task: str) -> None:
    """The same examples in a log with another future have the same labels."""
    whole = random_log(60, 12, seed=3)
    whole = replace(whole, types=np.random.default_rng(1).integers(0, 4, len(whole.types)))
    cut = 40 * DAY
    after = whole.times > cut
    other = replace(whole, types=np.where(after, CHOSEN_TYPES.index("purchase"), whole.types))
    other = replace(other, items=np.where(after, 0, whole.items))
    rows = np.random.default_rng(2).integers(0, 60, 400)
    impressions = Impressions(rows, rows % 12, np.random.default_rng(3).integers(0, 60 * DAY, 400))

    likes = np.random.default_rng(5).random(len(whole.items)) < 0.5
    ratings = BinaryLabels(whole.rows, whole.items, whole.times, likes)

    def sampler(log: Interactions) -> LabelSampler:
        known = log.until(cut)
        if task == "rating":
            return RatingSampler(
                known, ratings if log is whole else replace(ratings, liked=np.where(after, ~likes, likes))
            )
        if task == "click":
            return ClickSampler(known, impressions)
        return PurchaseIntentSampler(known) if task == "purchase_intent" else SessionSampler(known)

    events = np.arange(int((~after).sum()))
    first, second = (sampler(log).sample(events, np.random.default_rng(4)) for log in (whole, other))
    assert len(first.events) > 50
    assert (first.prediction_times <= cut).all()
    for ours, theirs in zip(vars(first).values(), vars(second).values(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # And every answer is the one of the whole log: nothing that was given could still change.
    if task not in ("click", "rating"):
        kept = np.flatnonzero(~after)[first.events]
        limit = first.prediction_times + 7 * DAY if task == "purchase_intent" else SessionSampler(whole).last_time[kept]
        np.testing.assert_array_equal(first.labels, PurchaseIntentSampler(whole).bought[kept] <= limit)
