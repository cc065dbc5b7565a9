import numpy as np
import pytest

from pipeline_tasks.topk.arrays import TopK
from spark_jobs.recommending.find_neighbor_items import subtract_next_score


def test_scores_are_relative_to_the_best_item_left_out() -> None:
    best = TopK(np.array([0, 3, 3, 5]), np.array([7, 8, 9, 1, 2]), np.array([5.0, 4.0, 1.0, -2.0, -3.0]))
    kept = subtract_next_score(best, 2)
    assert kept.starts.tolist() == [0, 2, 2, 4]
    assert kept.items.tolist() == [7, 8, 1, 2]
    assert kept.scores.tolist() == [4.0, 3.0, 1.0, 0.0], "of all there are, the last is above nothing"


@pytest.mark.parametrize("owners", [0, 2])
def test_no_items_are_no_rows(owners: int) -> None:
    nothing = TopK(np.zeros(owners + 1, np.int64), np.zeros(0, np.int64), np.zeros(0))
    kept = subtract_next_score(nothing, 3)
    assert (len(kept.items), kept.starts.tolist()) == (0, [0] * (owners + 1))
