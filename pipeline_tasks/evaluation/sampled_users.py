"""Samples of the users of a task. Items are never sampled, which could change the winner (Krichene, Rendle 2020)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline_tasks.data.interactions import Integers
from pipeline_tasks.evaluation.ranking_task import RankingTask


def sample_task(task: RankingTask, most: int, seed: int) -> RankingTask:
    """Return the task for a random sample of at most `most` users."""
    if len(task) <= most:
        return task
    return _for_users(task, np.sort(np.random.default_rng(seed).choice(len(task), most, replace=False)))


def sample_tasks(tasks: Sequence[RankingTask], most: int, seed: int) -> list[RankingTask]:
    """Return tasks over one log (`build_tasks`) with at most `most` users each.

    The samples overlap as far as possible, because `evaluate_tasks` scores each user once for all tasks.
    """
    known = tasks[0].known.keys
    order = dict(zip(known, np.random.default_rng(seed).permutation(len(known)).tolist(), strict=True))
    return [_first(task, order, most) if len(task) > most else task for task in tasks]


def _first(task: RankingTask, order: dict[str, int], most: int) -> RankingTask:
    places = np.array([order[key] for key in task.histories.keys])
    return _for_users(task, np.sort(np.argpartition(places, most)[:most]))


def _for_users(task: RankingTask, users: Integers) -> RankingTask:
    return replace(
        task,
        histories=task.histories.select(users),
        relevant=task.relevant[users],
        masked=task.masked[users],
        segments={kind: labels[users] for kind, labels in task.segments.items()},
    )
