"""Whether a user likes an item: learned from what she is like and how she answers, never from the answer itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline_tasks.data.interactions import Flags, Integers, Interactions
from pipeline_tasks.data.ratings import BinaryLabels
from pipeline_tasks.data.task_labels import TaskLabels
from pipeline_tasks.errors import TrainingError
from pipeline_tasks.models.two_tower.two_tower import TwoTower
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.tables.contracts import CHOSEN_TYPES
from pipeline_tasks.times import DAY
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from pipeline_tasks.training.task_predictions import evaluate_heads, predict
from tests.pipeline_tasks.models.task_heads.small_heads import CUT, DAYS, ITEMS, TEXTS, options_for

pytestmark = pytest.mark.training

USERS = 120
VIEW, PURCHASE, RATING = (CHOSEN_TYPES.index(name) for name in ("view", "purchase", "rating"))
OPTIONS = options_for({"next_item": 1.0, "rating": 0.5})


def rated_shop(seed: int = 1) -> tuple[Interactions, Integers]:
    """Return histories of three looks at items of one's own half every morning and a rating of any item every evening,
    and which events (k,) are ratings."""
    rng = np.random.default_rng(seed)
    many = USERS * DAYS * 4
    rows, hours = np.arange(many) // (DAYS * 4), np.arange(many) % 4
    evening = hours == 3
    items = np.where(evening, rng.integers(ITEMS, size=many), rng.integers(10, size=many) + 10 * (rows % 2))
    log = Interactions(
        [f"u{number:03d}" for number in range(USERS)],
        np.ones(USERS, bool),
        np.arange(USERS + 1) * DAYS * 4,
        items,
        np.where(evening, RATING, VIEW),
        np.arange(many) % (DAYS * 4) // 4 * DAY + hours * (DAY // 8),
    )
    return log, np.flatnonzero(evening)


LOG, RATED = rated_shop()


def likes(liked: Flags) -> BinaryLabels:
    return BinaryLabels(LOG.rows[RATED], LOG.items[RATED], LOG.times[RATED], liked)


def own_half() -> BinaryLabels:
    """Items of the half that one looks at are liked, mostly; of the other half, hardly ever."""
    own = LOG.items[RATED] // 10 == LOG.rows[RATED] % 2
    return likes(np.random.default_rng(2).random(len(RATED)) < np.where(own, 0.9, 0.1))


def fitted(log: Interactions, ratings: BinaryLabels, epochs: int = 12) -> TwoTowerRecommender:
    # Up to the seventh epoch, or the fifth with a lucky seed, the loss of this log stays on a plateau.
    options = replace(OPTIONS, epochs=epochs)
    return TwoTowerTrainer(log.until(CUT), TEXTS, options, task_labels=TaskLabels(ratings=ratings)).fit()


@pytest.fixture(scope="module")
def recommender() -> TwoTowerRecommender:
    return fitted(LOG, own_half())


def test_the_rating_head_predicts_likes(recommender: TwoTowerRecommender) -> None:
    figures = evaluate_heads(recommender, LOG, CUT, TaskLabels(ratings=own_half()))
    assert figures["rating_auc"] > 0.8
    assert figures["rating_log_loss"] < figures["rating_base_log_loss"] - 0.15


def test_events_at_the_time_of_the_rating_do_not_leak() -> None:
    """Who likes an item buys it at the very moment of the rating, which is all that there is to know."""
    ratings = likes(np.random.default_rng(3).random(len(RATED)) < 0.5)
    types = LOG.types.copy()
    types[RATED] = np.where(ratings.liked, PURCHASE, RATING)
    log = replace(LOG, types=types)
    figures = evaluate_heads(fitted(log, ratings, epochs=3), log, CUT, TaskLabels(ratings=ratings))
    assert abs(figures["rating_auc"] - 0.5) < 0.06


def test_later_ratings_are_not_learned_from() -> None:
    """With every rating after the cut turned into its opposite, the very same model is learned."""
    ratings = own_half()
    other = replace(ratings, liked=np.where(ratings.times > CUT, ~ratings.liked, ratings.liked))
    first, second = (fitted(LOG, one, epochs=1).model.state_dict() for one in (ratings, other))
    for name, weights in first.items():
        assert torch.equal(weights, second[name]), name


def test_rating_bias_is_learned_from_earlier_ratings() -> None:
    """One user in two likes all items, the others none: only their labels distinguish them."""
    kind = (LOG.rows[RATED] // 2) % 2 == 0
    ratings = likes(np.random.default_rng(4).random(len(RATED)) < np.where(kind, 0.9, 0.1))
    model = fitted(LOG, ratings, epochs=2)
    figures = evaluate_heads(model, LOG, CUT, TaskLabels(ratings=ratings))
    assert figures["rating_auc"] > 0.8
    known, moments, items = LOG.until(CUT), np.full(USERS, CUT), np.arange(USERS) % ITEMS
    probabilities = predict(model, "rating", known, moments, items, ratings)
    untold = predict(model, "rating", known, moments, items)
    mild = (np.arange(USERS) // 2) % 2 == 0
    assert probabilities[mild].mean() - probabilities[~mild].mean() > 0.5
    assert abs(untold[mild].mean() - untold[~mild].mean()) < 0.2
    later = replace(ratings, liked=np.where(ratings.times >= CUT, ~ratings.liked, ratings.liked))
    np.testing.assert_array_equal(probabilities, predict(model, "rating", known, moments, items, later))


def test_it_is_saved_with_the_towers(recommender: TwoTowerRecommender, tmp_path: Path) -> None:
    recommender.model.save_pretrained(tmp_path)
    again = replace(recommender, model=TwoTower.from_pretrained(tmp_path))
    known, items = LOG.until(CUT), np.arange(USERS) % ITEMS
    ours, theirs = (predict(one, "rating", known, None, items, own_half()) for one in (recommender, again))
    assert ((ours > 0) & (ours < 1)).all()
    np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match="the task rating is about items: pass one item for each history"):
        predict(recommender, "rating", known)


def test_a_log_without_ratings_or_with_equal_labels_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"has rating, but no event of the window has one: map events\.columns"):
        TwoTowerTrainer(LOG, TEXTS, OPTIONS)
    alike = TaskLabels(ratings=likes(np.ones(len(RATED), bool)))
    with pytest.raises(TrainingError, match=r"task rating: the log has (\d+) labelled examples, \1 of them positive"):
        TwoTowerTrainer(LOG, TEXTS, OPTIONS, task_labels=alike)
