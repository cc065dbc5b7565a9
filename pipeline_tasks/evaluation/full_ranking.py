"""Ranks the whole catalog for every user, in blocks of users, and computes the metrics of the lists."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import Flags, Floats, Integers, Interactions
from pipeline_tasks.data.split_parts import refuse_future
from pipeline_tasks.evaluation.metrics import (
    Reals,
    coverage,
    f1,
    gini,
    history_popularity,
    hit_rate,
    intra_list_distance,
    list_popularity,
    mean_rank,
    ndcg,
    novelty,
    popularity_lift,
    precision,
    recall,
    reciprocal_rank,
)
from pipeline_tasks.evaluation.ranking_task import Preparable, RankingTask, Scorer
from pipeline_tasks.evaluation.ranks_from_scores import rank_of, top_items
from pipeline_tasks.evaluation.user_segments import Labels
from pipeline_tasks.progress_log import ProgressLog

CUTOFFS = (10, 20)
LIST_LENGTH = 10
"""Places for which diversity, novelty and popularity are measured."""
_BLOCK_CELLS: Final = 16_000_000
"""Scores in memory at a time: 64 MB, and about four times as much while they are ranked."""
_MOST_ROWS: Final = 4_096


@dataclass(frozen=True)
class RankedLists:
    """The best items of each user, and the rank of every relevant item."""

    lists: Integers
    """(n, 20) item indices, best first; fewer columns where the catalog has fewer items."""
    hits: Flags
    """(n, 20) whether each item of `lists` is relevant."""
    ranks: Integers
    """(entries of `task.relevant`,) rank of each relevant item in the whole catalog, from 1, in the matrix' order."""


def per_user_figures(ranked: RankedLists, task: RankingTask) -> dict[str, Reals]:
    """Return metric -> (n,) values. `cold_recall@10` is NaN for users without a relevant cold item."""
    top = ranked.lists[:, :LIST_LENGTH]
    figures = _accuracy(ranked, task.relevant.getnnz(axis=1))
    figures["novelty@10"] = novelty(top, task.popularity, len(task.known))
    figures["list_popularity@10"] = list_popularity(top, task.popularity)
    figures["history_popularity"] = history_popularity(task.histories, task.popularity)
    if task.item_vectors is not None:
        figures["intra_list_distance@10"] = intra_list_distance(top, task.item_vectors)
    figures["cold_recall@10"] = _cold_recall(ranked, task)
    return {name: values for name, values in figures.items() if not np.isnan(values).all()}


def overall_figures(ranked: RankedLists, per_user: dict[str, Reals], n_items: int) -> dict[str, float]:
    """Return the mean of every metric over the users who have it, and the metrics of all lists together."""
    overall = {name: float(np.nanmean(values)) for name, values in per_user.items()}
    top = ranked.lists[:, :LIST_LENGTH]
    overall["coverage@10"] = coverage(top, n_items)
    overall["gini@10"] = gini(top, n_items)
    if "history_popularity" in per_user:
        shown, had = per_user["list_popularity@10"], per_user["history_popularity"]
        overall["popularity_lift@10"] = popularity_lift(shown, had)
    return overall


def _accuracy(ranked: RankedLists, relevant: Integers) -> dict[str, Reals]:
    hits = ranked.hits
    return {
        **{f"recall@{k}": recall(hits, relevant, k) for k in CUTOFFS},
        **{f"ndcg@{k}": ndcg(hits, relevant, k) for k in CUTOFFS},
        **{f"precision@{k}": precision(hits, k) for k in CUTOFFS},
        **{f"f1@{k}": f1(hits, relevant, k) for k in CUTOFFS},
        **{f"hit_rate@{k}": hit_rate(hits, k) for k in CUTOFFS},
        "mrr": reciprocal_rank(ranked.ranks, relevant),
        "mean_rank": mean_rank(ranked.ranks, relevant),
    }


def _cold_recall(ranked: RankedLists, task: RankingTask) -> Reals:
    """Return per user the share of relevant cold items (without known events) in the first 10 places."""
    n_users, n_items = task.relevant.shape
    cold = np.bincount(task.known.items, minlength=n_items) == 0
    entries = task.relevant.tocsr()
    rows = np.repeat(np.arange(n_users), np.diff(entries.indptr))[cold[entries.indices]]
    wanted = np.bincount(rows, minlength=n_users)
    found = np.bincount(rows, weights=ranked.ranks[cold[entries.indices]] <= LIST_LENGTH, minlength=n_users)
    return np.divide(found, wanted, out=np.full(n_users, np.nan), where=wanted > 0)


@dataclass(frozen=True)
class RankingResult:
    """Metrics of a scorer in a task."""

    scorer: str
    task: str
    per_user: dict[str, Reals]
    """Metric -> (n,) one value per user, in the task's order, for intervals and paired tests."""
    overall: dict[str, float] = field(default_factory=dict)
    """Metric -> the mean over users, or one value of all lists together."""
    segments: Mapping[str, Labels] = field(default_factory=dict)
    """Kind of segment -> label of each user, in the task's order."""


def evaluate(scorer: Scorer, task: RankingTask) -> RankingResult:
    """Return the metrics of `scorer` in `task`, by full ranking.

    Raises:
        FutureLeakError: the scorer was fitted on more than the task allows to be known.
        ValueError: a score is not finite, or the task has no users.
    """
    return evaluate_tasks(scorer, [task])[0]


def evaluate_tasks(scorer: Scorer, tasks: Sequence[RankingTask]) -> list[RankingResult]:
    """Return the metrics of `scorer` in tasks over the same known histories. Each user is scored once for all tasks.

    Raises:
        FutureLeakError, ValueError: as `evaluate`.
        ValueError: the tasks were built from different histories.
    """
    for task in tasks:
        refuse_future(scorer.name, scorer.data_extent, task.known)
        if not len(task.histories):
            raise ValueError(f"no users to evaluate in {task.name}: no user of its audience has a relevant item")
        if task.known is not tasks[0].known:
            raise ValueError(f"{task.name} and {tasks[0].name} were built apart: build them with one build_tasks")
    results = []
    for task, ranked in zip(tasks, _rank_tasks(scorer, tasks), strict=True):
        per_user = per_user_figures(ranked, task)
        overall = overall_figures(ranked, per_user, task.relevant.shape[1])
        results.append(RankingResult(scorer.name, task.name, per_user, overall, task.segments))
    return results


def _rank_tasks(scorer: Scorer, tasks: Sequence[RankingTask]) -> list[RankedLists]:
    union, rows_of = _union(tasks)
    scorer = scorer.prepared() if isinstance(scorer, Preparable) else scorer
    pieces: list[list[tuple[Integers, RankedLists]]] = [[] for _ in tasks]
    progress = ProgressLog(scorer.name, len(union), "users ranked")
    for start, histories in _blocks(union, tasks[0].relevant.shape[1]):
        progress.at(start)
        scores = np.asarray(scorer.scores(histories), dtype=np.float32)
        if not np.isfinite(scores).all():
            raise ValueError(f"{scorer.name} gave a score that is not finite in {tasks[0].name}")
        for task, rows, found in zip(tasks, rows_of, pieces, strict=True):
            inside = np.flatnonzero((rows >= start) & (rows < start + len(histories)))
            if len(inside):
                found.append((inside, _rank_block(scores[rows[inside] - start], task, inside)))
    return [_in_order(task, found) for task, found in zip(tasks, pieces, strict=True)]


def _union(tasks: Sequence[RankingTask]) -> tuple[Interactions, list[Integers]]:
    """Return the histories of the users of all tasks, and for each task the rows of its users there."""
    if len(tasks) == 1:
        return tasks[0].histories, [np.arange(len(tasks[0]))]
    known = tasks[0].known
    users = {key for task in tasks for key in task.histories.keys}
    chosen = np.array([row for row, key in enumerate(known.keys) if key in users], dtype=np.int64)
    place = {known.keys[row]: number for number, row in enumerate(chosen)}
    return known.select(chosen), [np.array([place[key] for key in task.histories.keys]) for task in tasks]


def _blocks(histories: Interactions, n_items: int) -> Iterator[tuple[int, Interactions]]:
    size = min(_MOST_ROWS, max(1, _BLOCK_CELLS // n_items))
    for start in range(0, len(histories), size):
        stop = min(start + size, len(histories))
        yield start, histories.select(np.arange(start, stop))


def _rank_block(scores: Floats, task: RankingTask, users: Integers) -> RankedLists:
    """Return the ranked lists of some users. `scores` (len(users), items) is overwritten where items are masked."""
    masked, relevant = task.masked[users], task.relevant[users]
    scores[_rows(masked.indptr), masked.indices] = -np.inf
    lists = top_items(scores, max(CUTOFFS))
    wanted = np.zeros(scores.shape, dtype=bool)
    rows = _rows(relevant.indptr)
    wanted[rows, relevant.indices] = True
    hits = np.take_along_axis(wanted, lists, axis=1)
    return RankedLists(lists, hits, rank_of(scores, rows, relevant.indices))


def _in_order(task: RankingTask, pieces: list[tuple[Integers, RankedLists]]) -> RankedLists:
    """Return the blocks joined. Users of a task are in the order of the union, which is the order of `task.known`.

    Raises:
        ValueError: the task has another order.
    """
    if np.any(np.diff(np.concatenate([inside for inside, _ in pieces])) <= 0):
        raise ValueError(
            f"the users of {task.name} are not in the order of its known histories: build it with build_tasks"
        )
    columns = zip(*((ranked.lists, ranked.hits, ranked.ranks) for _, ranked in pieces), strict=True)
    lists, hits, ranks = (np.concatenate(column) for column in columns)
    return RankedLists(lists, hits, ranks)


def _rows(indptr: Integers) -> Integers:
    return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
