import numpy as np

from pipeline_tasks.data.split_parts import split_parts
from pipeline_tasks.evaluation.baselines import popularity
from pipeline_tasks.evaluation.full_ranking import evaluate_tasks
from pipeline_tasks.evaluation.ranking_task import build_task, build_tasks, sample_task, sample_tasks
from tests.pipeline_tasks.logs import random_log


def test_a_sample_is_reproducible_and_keeps_rows_aligned() -> None:
    log = random_log(150, 40, seed=6)
    task = build_task(split_parts(log, {"strategy": "per_user"}), "validation", "discovery", 40)
    some, same = sample_task(task, 20, seed=1), sample_task(task, 20, seed=1)
    assert some.histories.keys == same.histories.keys
    assert len(some.histories) == 20
    place = {key: row for row, key in enumerate(task.histories.keys)}
    rows = np.array([place[key] for key in some.histories.keys])
    np.testing.assert_array_equal(some.relevant.toarray(), task.relevant[rows].toarray())
    assert sample_task(task, 10_000, seed=1) is task


def test_samples_of_tasks_over_one_log_overlap() -> None:
    parts = split_parts(random_log(150, 40, seed=6), {"strategy": "per_user"})
    whole = build_tasks(parts, "test", ("discovery", "repeats"), 40)
    assert min(map(len, whole)) > 20
    discovery, repeats = sample_tasks(whole, 20, seed=1)
    assert (len(discovery), len(repeats)) == (20, 20)
    # A user who wanted no new item is only in the task repeats.
    both = set(discovery.histories.keys) | set(repeats.histories.keys)
    assert len(both) < 30
    assert sample_tasks(whole, 20, seed=2)[0].histories.keys != discovery.histories.keys
    assert sample_tasks(whole, 10_000, seed=1) == whole


def test_a_sampled_user_has_the_metrics_of_the_whole_task() -> None:
    parts = split_parts(random_log(150, 40, seed=6), {"strategy": "per_user"})
    whole = build_tasks(parts, "test", ("discovery", "repeats"), 40)
    scorer = popularity(whole[0].known, 40)
    some = sample_tasks(whole, 20, seed=1)
    for every, task, of_all, of_some in zip(
        whole, some, evaluate_tasks(scorer, whole), evaluate_tasks(scorer, some), strict=True
    ):
        rows = [every.histories.keys.index(key) for key in task.histories.keys]
        np.testing.assert_array_equal(of_all.per_user["mrr"][rows], of_some.per_user["mrr"])
