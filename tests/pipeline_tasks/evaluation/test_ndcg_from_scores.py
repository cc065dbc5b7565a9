import pytest

from pipeline_tasks.data.split_parts import split_parts
from pipeline_tasks.evaluation.full_ranking import evaluate
from pipeline_tasks.evaluation.ranking_task import Goal, build_task
from pipeline_tasks.evaluation.ranks_from_scores import ndcg_from_scores
from pipeline_tasks.models.ease import ease
from tests.pipeline_tasks.logs import random_log


@pytest.mark.parametrize("goal", ["discovery", "repeats"])
@pytest.mark.parametrize("items", [25, 40])
def test_agrees_with_the_full_evaluation(goal: Goal, items: int) -> None:
    log = random_log(150, items, seed=6)
    task = build_task(split_parts(log, {"strategy": "per_user"}), "validation", goal, items)
    model = ease(task.known, items)
    assert ndcg_from_scores(model.scores(task.histories), task) == pytest.approx(
        evaluate(model, task).overall["ndcg@10"]
    )
