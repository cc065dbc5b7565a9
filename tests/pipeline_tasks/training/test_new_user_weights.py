"""Users without events get the weights that were tuned on the new users of validation; other users do not."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.evaluation.ranking_task import RankingTask, interaction_matrix
from pipeline_tasks.evaluation.ranks_from_scores import ndcg_from_scores
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.models.two_tower.user_inputs import NO_QUERIES, fit_user_content
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from pipeline_tasks.training.tune_weights import tune_new_user_weights
from tests.pipeline_tasks.informative_logs import ITEMS, item_texts, profile_log, query_log, query_vectors

pytestmark = pytest.mark.training

OPTIONS = FitOptions(epochs=6, dimension=16, text_dimension=8, max_length=10, linear_rank=4, learning_rate=1e-2)
CLUBS, OTHERS = profile_log(400, seed=1), profile_log(200, seed=2)
WRONG = -9.0
"""A weight of all trends that ranks unwanted items first."""


def fitted(log: Interactions, raw_queries: np.ndarray) -> TwoTowerRecommender:
    users = fit_user_content(log, raw_queries, None)
    return TwoTowerTrainer(log, item_texts(), OPTIONS, users=users).fit()


def task_of(users: Interactions, seen: int) -> RankingTask:
    """Return the task of what `users` want, with `seen` of their events known."""
    stops = np.full(len(users), seen)
    future = interaction_matrix(users.between(stops, users.lengths), ITEMS)
    nothing = csr_matrix(future.shape, dtype=np.float32)
    return RankingTask("held_out", CLUBS, users.before(stops), future, nothing, np.ones(ITEMS, np.int64))


NEWCOMERS, KNOWN = task_of(OTHERS, 0), task_of(OTHERS, 2)


@pytest.fixture(scope="module")
def of_clubs() -> TwoTowerRecommender:
    return fitted(CLUBS, NO_QUERIES.raw)


@pytest.fixture
def recommender(of_clubs: TwoTowerRecommender) -> TwoTowerRecommender:
    """Return a model with trend weights that do not suit new users."""
    return of_clubs.with_weights(trend_shift=(WRONG,) * len(of_clubs.model.config.horizons))


def reached(recommender: TwoTowerRecommender, task: RankingTask) -> float:
    return ndcg_from_scores(recommender.scores(task.histories), task)


def test_users_without_events_get_own_weights_and_keep_their_attributes(
    recommender: TwoTowerRecommender,
) -> None:
    before, of_known = reached(recommender, NEWCOMERS), recommender.user_matrix(KNOWN.histories)
    tuned = tune_new_user_weights(recommender, NEWCOMERS, KNOWN)
    assert len(tuned.tuned.new_user_trends) == len(recommender.model.config.horizons)
    assert tuned.tuned.new_user_profile > 0, "the club decides two events of three"
    chosen = reached(tuned, NEWCOMERS)
    assert chosen > before + 0.1
    assert reached(tuned.with_weights(new_user_profile=0.0), NEWCOMERS) < chosen - 0.1
    np.testing.assert_array_equal(tuned.user_matrix(KNOWN.histories), of_known)


def test_new_items_are_not_boosted_above_relevant_items_of_new_users(recommender: TwoTowerRecommender) -> None:
    """The boost is in units of the spread of users with a history, which differs from that of new users."""
    rows = recommender.rows.clone()
    rows[:5] = -1
    boosted = replace(recommender, rows=rows).with_weights(cold_start_boost=1_000.0)
    tuned = tune_new_user_weights(boosted, NEWCOMERS, KNOWN)
    assert tuned.tuned.new_user_boost < 1_000
    assert reached(tuned, NEWCOMERS) > 0.2


def test_few_new_users_keep_the_default_weights(recommender: TwoTowerRecommender) -> None:
    few = task_of(OTHERS.select(np.arange(20)), 0)
    assert tune_new_user_weights(recommender, few, KNOWN) is recommender


def test_queries_of_new_users_count_in_full() -> None:
    recommender = fitted(query_log(300, seed=1), query_vectors())
    silent = query_log(20, seed=2).before(np.zeros(20, dtype=np.int64))
    assert silent.queries is not None
    typing = replace(silent, queries=replace(silent.queries, last=np.ones(20, dtype=np.int64)))
    before = recommender.user_matrix(typing), recommender.user_matrix(silent)
    trends = (7.0,) * len(recommender.model.config.horizons)
    recommender = recommender.with_weights(new_user_trends=trends, new_user_profile=0.0)
    np.testing.assert_array_equal(recommender.user_matrix(typing), before[0])
    assert np.abs(recommender.user_matrix(silent) - before[1]).max() > 1
