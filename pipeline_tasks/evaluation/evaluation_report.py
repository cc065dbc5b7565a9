"""Result tables of an evaluation: each scorer in each task and segment, with intervals and paired tests."""

import sys
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pandas as pd

from pipeline_tasks.evaluation.full_ranking import RankingResult
from pipeline_tasks.evaluation.intervals import mean_intervals, sign_flip_p_values
from pipeline_tasks.evaluation.metrics import Reals

_SEGMENT_METRICS: Final = ("novelty@10", "intra_list_distance@10", "cold_recall@10")


def report_table(results: Sequence[RankingResult], ours: str, metric: str) -> pd.DataFrame:
    """Return one row per task and scorer.

    Columns: task, scorer, users, every metric, `low` and `high` (95 % interval of `metric`), and `ours_minus`,
    `ours_minus_low`, `ours_minus_high`, `ours_minus_p`. These are the paired difference of `metric` (ours minus this
    scorer), its interval, and the p value of the sign-flip test.
    """
    rows = []
    for task, rivals in _by_task(results).items():
        values = _values(rivals, metric)
        compared = _compare(values, _own_row(rivals, ours, task))
        for number, result in enumerate(rivals):
            figures = {name: column[number] for name, column in compared.items()}
            facts = {"task": task, "scorer": result.scorer, "users": values.shape[1]}
            rows.append(facts | result.overall | figures)
    return pd.DataFrame(rows)


def segment_table(results: Sequence[RankingResult], ours: str, metric: str) -> pd.DataFrame:
    """Return one row per task, kind of segment, segment and scorer.

    Columns: task, kind, segment, users, scorer, `metric`, and low … ours_minus_p as in `report_table`. Then novelty,
    intra-list distance, cold recall and popularity_lift@10 of the segment's users.
    """
    rows = []
    for task, rivals in _by_task(results).items():
        values = _values(rivals, metric)
        own = _own_row(rivals, ours, task)
        for kind, labels in rivals[0].segments.items():
            for segment in sorted(set(labels.tolist()), key=_place):
                inside = labels == segment
                compared = _compare(values[:, inside], own)
                facts = {"task": task, "kind": kind, "segment": segment, "users": int(inside.sum())}
                for number, result in enumerate(rivals):
                    figures = {name: column[number] for name, column in compared.items()}
                    mean = {metric: float(values[number, inside].mean())}
                    rows.append(
                        facts | {"scorer": result.scorer} | mean | figures | dict(_segment_metrics(result, inside))
                    )
    return pd.DataFrame(rows)


def _by_task(results: Sequence[RankingResult]) -> dict[str, list[RankingResult]]:
    tasks: dict[str, list[RankingResult]] = {}
    for result in results:
        tasks.setdefault(result.task, []).append(result)
    return tasks


def _values(rivals: Sequence[RankingResult], metric: str) -> Reals:
    """Return the metric as (scorers, n).

    Raises:
        ValueError: some user lacks the metric.
    """
    for result in rivals:
        if metric not in result.per_user or np.isnan(result.per_user[metric]).any():
            whole = sorted(name for name, values in result.per_user.items() if not np.isnan(values).any())
            raise ValueError(f"{metric!r} is missing for some users of {result.task}: choose one of {whole}")
    return np.stack([result.per_user[metric] for result in rivals])


def _own_row(rivals: Sequence[RankingResult], ours: str, task: str) -> int:
    names = [result.scorer for result in rivals]
    if ours not in names:
        raise ValueError(f"{ours} has no result in {task} to compare the others with: {names}")
    return names.index(ours)


def _compare(values: Reals, own: int) -> dict[str, Reals]:
    """Return interval, paired difference with its interval, and p value of each row of `values` (scorers, n)."""
    differences = values[own] - values
    low, high = mean_intervals(values)
    difference_low, difference_high = mean_intervals(differences)
    return {
        "low": low,
        "high": high,
        "ours_minus": differences.mean(axis=1),
        "ours_minus_low": difference_low,
        "ours_minus_high": difference_high,
        "ours_minus_p": sign_flip_p_values(differences),
    }


def _place(segment: str) -> tuple[int, str]:
    """Sort key: '2 to 4' comes before '10 to 24', and labels without a number come last."""
    first = segment.split(" ", maxsplit=1)[0]
    return (int(first) if first.isdigit() else sys.maxsize, segment)


def _segment_metrics(
    result: RankingResult, inside: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> Iterator[tuple[str, float]]:
    for name in _SEGMENT_METRICS:
        values = result.per_user.get(name)
        if values is not None and np.isfinite(values[inside]).any():
            yield name, float(np.nanmean(values[inside]))
    had = result.per_user.get("history_popularity")
    if had is not None and np.isfinite(had[inside]).any() and np.nansum(had[inside]) > 0:
        shown = result.per_user["list_popularity@10"][inside]
        yield "popularity_lift@10", float(shown.mean() / np.nanmean(had[inside]) - 1)
