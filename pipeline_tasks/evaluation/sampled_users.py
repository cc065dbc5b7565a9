"""Users drawn for a ranking task. Items are never sampled: that changes who wins (Krichene and Rendle 2020)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline_tasks.data.interactions import Integers
from pipeline_tasks.evaluation.ranking_task import RankingTask


def sample_task(task: RankingTask, most: int, seed: int) -> RankingTask:
    """Return the task for at most `most` of its users, drawn by `seed`."""
    if len(task) <= most:
        return task
    return _of(task, np.sort(np.random.default_rng(seed).choice(len(task), most, replace=False)))


def sample_tasks(tasks: Sequence[RankingTask], most: int, seed: int) -> list[RankingTask]:
    """Return tasks over one log (`build_tasks`) for at most `most` of the users of each.

    Who is drawn in one task is in the others too, where they are asked: evaluate_tasks scores everybody once.
    """
    known = tasks[0].known.keys
    turn = dict(zip(known, np.random.default_rng(seed).permutation(len(known)).tolist(), strict=True))
    return [_first(task, turn, most) if len(task) > most else task for task in tasks]


def _first(task: RankingTask, turn: dict[str, int], most: int) -> RankingTask:
    turns = np.array([turn[key] for key in task.histories.keys])
    return _of(task, np.sort(np.argpartition(turns, most)[:most]))


def _of(task: RankingTask, users: Integers) -> RankingTask:
    return replace(
        task,
        histories=task.histories.select(users),
        relevant=task.relevant[users],
        masked=task.masked[users],
        segments={kind: labels[users] for kind, labels in task.segments.items()},
    )
