import numpy as np
import pytest

from pipeline_tasks.data.split_parts import split_parts
from pipeline_tasks.evaluation.ranking_task import RankingTask, build_task
from pipeline_tasks.evaluation.ranks_from_scores import top_lists
from pipeline_tasks.models.two_tower.new_items import cold_start_boost
from tests.pipeline_tasks.logs import random_log

ITEMS = 40


@pytest.fixture(scope="module")
def task() -> RankingTask:
    return build_task(split_parts(random_log(80, ITEMS, seed=4), {"strategy": "per_user"}), "test", "discovery", ITEMS)


@pytest.mark.parametrize("new_items", [0, 3, 25, 37, 40])
def test_at_every_level_the_lists_are_those_of_all_scores(task: RankingTask, new_items: int) -> None:
    rng = np.random.default_rng(new_items)
    scores = rng.standard_normal((len(task), ITEMS)).astype(np.float32)
    new = np.isin(np.arange(ITEMS), rng.choice(ITEMS, new_items, replace=False))
    lists = cold_start_boost(scores.copy(), new, task)
    assert task.masked.nnz
    for level in (-9.0, -0.5, 0.0, 0.7, 9.0):
        whole = top_lists(scores + np.float32(level) * new.astype(np.float32), task)
        np.testing.assert_array_equal(lists.at(level), whole)
        assert lists.share(level) == pytest.approx(new[whole].mean())
