import numpy as np

from pipeline_tasks.data.split_parts import split_parts
from pipeline_tasks.evaluation.baselines import item_knn, popularity
from pipeline_tasks.evaluation.full_ranking import evaluate
from pipeline_tasks.evaluation.ranking_task import build_task
from tests.benchmarks.hybrid_blend import HybridBlend, choose_weights
from tests.pipeline_tasks.logs import random_log

LOG = random_log(200, 40, seed=4)
TASK = build_task(split_parts(LOG, {"strategy": "per_user"}), "validation", "discovery", 40)


def test_a_better_part_is_given_weight() -> None:
    popular, near = popularity(TASK.known, 40), item_knn(TASK.known, 40)
    weights = choose_weights(popular, [near], TASK)
    blend = HybridBlend("blended", popular, [near], weights)
    assert weights[0] > 0
    assert evaluate(blend, TASK).overall["ndcg@10"] > evaluate(popular, TASK).overall["ndcg@10"]


def test_without_weight_it_is_the_first() -> None:
    popular = popularity(TASK.known, 40)
    blend = HybridBlend("blended", popular, [item_knn(TASK.known, 40)], [0.0])
    np.testing.assert_array_equal(blend.scores(TASK.histories), popular.scores(TASK.histories))
    assert blend.data_extent == popular.data_extent
