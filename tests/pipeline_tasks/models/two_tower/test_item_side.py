"""The item side is worked out once for an evaluation, not for every block of users."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from pipeline_tasks.data.split_parts import split_parts
from pipeline_tasks.evaluation import full_ranking
from pipeline_tasks.evaluation.full_ranking import evaluate
from pipeline_tasks.evaluation.ranking_task import RankingTask, build_task
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from tests.pipeline_tasks.logs import random_log

pytestmark = pytest.mark.training

ITEMS = 40
TEXTS = np.random.default_rng(9).standard_normal((ITEMS, 12)).astype(np.float32)
OPTIONS = FitOptions(epochs=1, dimension=16, text_dimension=8, max_length=20, linear_rank=8)
PARTS = split_parts(random_log(200, ITEMS, seed=4), {"strategy": "per_user"})


@pytest.fixture(scope="module")
def task() -> RankingTask:
    return build_task(PARTS, "test", "discovery", ITEMS)


@pytest.fixture(scope="module")
def recommender(task: RankingTask) -> TwoTowerRecommender:
    return TwoTowerTrainer(task.known, TEXTS, OPTIONS).fit().with_weights(item_to_item=0.7)


@pytest.fixture
def computed_items(recommender: TwoTowerRecommender) -> Iterator[list[int]]:
    """How many items the item tower was asked for, call by call."""
    calls: list[int] = []
    hook = recommender.model.text_projection.register_forward_hook(lambda module, given, made: calls.append(len(made)))
    yield calls
    hook.remove()


def test_an_evaluation_runs_the_item_tower_once(
    recommender: TwoTowerRecommender, task: RankingTask, computed_items: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluate(recommender, task)
    assert computed_items == [ITEMS]
    monkeypatch.setattr(full_ranking, "_BLOCK_CELLS", ITEMS * 16)
    parted = evaluate(recommender, task)
    assert len(task) > 5 * 16
    assert computed_items == [ITEMS, ITEMS]
    for name, values in whole.per_user.items():
        np.testing.assert_array_equal(parted.per_user[name], values)


def test_prepared_or_not_scores_are_the_same_to_the_bit(recommender: TwoTowerRecommender, task: RankingTask) -> None:
    ready = recommender.prepared()
    for start in (0, 20):
        histories = task.histories.select(np.arange(start, start + 20))
        np.testing.assert_array_equal(ready.scores(histories), recommender.scores(histories))


def test_later_events_leave_a_prepared_item_tower_unchanged(
    recommender: TwoTowerRecommender, task: RankingTask, computed_items: list[int]
) -> None:
    """As a served model is asked, request by request."""
    ready = recommender.prepared()
    later = ready.as_of(ready.moment + 5)
    later = later.with_queries_of(task.histories, lambda new: np.zeros((len(new), 1), np.float32))
    scores = [later.scores(task.histories) for _ in range(2)]
    assert computed_items == [ITEMS]
    np.testing.assert_array_equal(scores[0], recommender.as_of(ready.moment + 5).scores(task.histories))


def test_other_weights_keep_a_prepared_item_side_unless_they_change_it(
    recommender: TwoTowerRecommender, task: RankingTask, computed_items: list[int]
) -> None:
    rows = recommender.rows.clone()
    rows[:3] = -1
    ready = replace(recommender, rows=rows).prepared()
    ready.item_matrix()
    ready.with_weights(item_to_item=2.0, cold_start_boost=1.0).scores(task.histories)
    assert computed_items == [ITEMS]
    filled = ready.with_weights(cold_start_embeddings=True)
    assert not np.array_equal(filled.item_matrix()[:3], ready.item_matrix()[:3])
    np.testing.assert_array_equal(filled.item_matrix()[3:], ready.item_matrix()[3:])


def test_another_time_gives_another_item_side(recommender: TwoTowerRecommender, task: RankingTask) -> None:
    ready = recommender.prepared()
    ready.item_matrix()
    earlier = task.known.until(int(np.median(task.known.times)))
    np.testing.assert_array_equal(ready.at(earlier).item_matrix(), recommender.at(earlier).item_matrix())
    assert not np.array_equal(ready.at(earlier).item_matrix(), ready.item_matrix())
