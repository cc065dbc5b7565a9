"""Fills audiences: for every item and category, the users to show it to.

The score of a user and an item is symmetric in their vectors (a dot product, or what `pair_scores` computes), so the
best users of a target are found like the best items of a user: blocks of users against all targets. The model's repeat
scores are added as in the recommendations (see `repeat_scores`).

Scores of different users are not comparable. They become so as the log of the softmax over all items that the user may
be shown, which is the loss of the training. This takes one more dimension: 1 for the target, and minus the log of the
sum of exp(score) for the user. A category is scored by its mean item; for a dot product, that is the mean score of its
items.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Final

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from pipeline_tasks.recommend.diversify import NOTHING
from pipeline_tasks.recommend.offered_items import OfferedItems, open_offered_items
from pipeline_tasks.recommend.repeat_scores import RepeatScores, best_with_repeat_scores
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.topk.arrays import Indices, Scores, Vectors
from pipeline_tasks.topk.top_k import use_scoring_device
from spark_jobs.common.task_gpu import task_device
from spark_jobs.recommending.audience_targets import (
    Targets,
    exclusions_by_target,
    find_targets,
    repeat_scores_by_target,
)
from spark_jobs.recommending.user_batch import read_users

_PARTIAL: Final = "target_type string, target string, user_key string, score double"
_BATCHES: Final = 8
"""Batches of users that are scored together. 20,480 users and 10,000 items take 0.25 s together. In batches of 2,048
they take 2.0 s, and as much again to merge the results."""
_NORMALIZED_OVER: Final = 4_096
"""Most items, at even distances, that a user's sum of exp(score) is estimated from: the cost is bounded."""


@dataclass(frozen=True)
class AudienceRequest:
    """Parameters of the audiences to find."""

    folder: str
    """Folder of `pipeline_tasks.recommend.offered_items`."""
    items: tuple[int, ...]
    """Indices of the offered items that get an audience."""
    rows: int
    """Users per target."""
    bought_since: int
    """Users who bought the item at or after this (epoch microseconds) are left out, unless it is replenishable."""
    block: int
    """Users scored at a time."""
    model_version: str
    ds: date
    excluded_types: tuple[str, ...] = ()
    """Users with an event of these types with the item are left out, unless it is replenishable."""


def find_audiences(users: DataFrame, request: AudienceRequest) -> DataFrame:
    """Return the rows of audiences. `users` holds the columns `user_batch.COLUMNS`, sorted by user_key per partition.

    Every partition finds its best n users per target; one shuffle merges them.
    """
    best = Window.partitionBy("target_type", "target").orderBy(F.desc("score"), "user_key")
    return (
        # Spark has no expression for products of whole blocks.
        users.mapInArrow(_finder(request), _PARTIAL)
        .withColumn("rank", F.row_number().over(best))
        .where(F.col("rank") <= request.rows)
        .withColumns({"model_version": F.lit(request.model_version), "ds": F.lit(request.ds)})
        .select(TABLES["audiences"].column_names)
    )


def _finder(request: AudienceRequest) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def find(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        offered = open_offered_items(request.folder)
        targets = find_targets(offered, request.items)
        if not targets.names:
            return
        found, device = _Found.none(), task_device()
        for batch in _merge_batches(batches):
            with use_scoring_device(device):
                best = _best_of(batch, offered, targets, request)
            found = found.best_with(best, request.rows)
        if len(found.targets):
            yield pa.RecordBatch.from_pydict(
                {
                    "target_type": pa.array(targets.kinds, pa.string()).take(found.targets),
                    "target": pa.array(targets.names, pa.string()).take(found.targets),
                    "user_key": pa.array(found.users, pa.string()),
                    "score": found.scores,
                }
            )

    return find


def _merge_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield `_BATCHES` batches at a time as one."""
    while group := list(islice(batches, _BATCHES)):
        table = pa.Table.from_batches(group)
        # The result is one chunk per column as long as each column holds less than 2 GiB.
        yield from table.combine_chunks().to_batches() if table.num_rows else ()


@dataclass(frozen=True)
class _Found:
    """The best users so far, grouped by target."""

    targets: Indices
    users: np.ndarray
    scores: Scores

    @classmethod
    def none(cls) -> "_Found":
        return cls(np.zeros(0, np.int64), np.zeros(0, object), np.zeros(0))

    def best_with(self, other: "_Found", rows: int) -> "_Found":
        """Return the best `rows` users per target of both."""
        targets, users, scores = (
            np.concatenate(pair)
            for pair in ((self.targets, other.targets), (self.users, other.users), (self.scores, other.scores))
        )
        # A stable sort keeps equal scores in the order of user_key, in which users arrive. Comparing the keys too
        # would take a batch 2.1 s of processor time in place of 0.3 (10,000 targets, 50 users each).
        order = np.lexsort((-scores, targets))
        sorted_targets = targets[order]
        ranks = np.arange(len(order)) - np.searchsorted(sorted_targets, sorted_targets)
        kept = order[ranks < rows]
        return _Found(targets[kept], users[kept], scores[kept])


def _best_of(batch: pa.RecordBatch, offered: OfferedItems, targets: Targets, request: AudienceRequest) -> _Found:
    users = read_users(batch, offered)
    if not users.keys:
        return _Found.none()
    repeat_scores = users.repeat_scores.only(users.repeat_scores.items < offered.allowed)
    best = best_with_repeat_scores(
        targets.vectors,
        _normalized_vectors(users.vectors, repeat_scores, offered, request.block),
        request.rows,
        exclusions_by_target(users.exclusions(offered, request.bought_since, request.excluded_types), targets),
        repeat_scores_by_target(repeat_scores, targets),
        # More users per batch, so fewer targets at a time: memory stays at block x offered items.
        -(-request.block // _BATCHES),
        offered.scoring,
    )
    owners, ranks = np.nonzero(best.items != NOTHING)
    return _Found(owners, np.array(users.keys, object)[best.items[owners, ranks]], best.scores[owners, ranks])


def _normalized_vectors(users: Vectors, repeat_scores: RepeatScores, offered: OfferedItems, block: int) -> Vectors:
    """Return (n, d + 1): the vectors, and minus the log of each user's sum of exp(score)."""
    sums = [
        _log_sums(users[first : first + block], repeat_scores.block(first, first + block), offered)
        for first in range(0, len(users), block)
    ]
    return np.concatenate([users, -np.concatenate(sums)], axis=1).astype(np.float32)


def _log_sums(users: Vectors, repeat_scores: RepeatScores, offered: OfferedItems) -> Scores:
    """Return (n, 1) logs of each user's sum of exp(score), rounded: the order of additions must not change them.

    Every item with a repeat score counts once. The other items are represented by a sample at even distances.
    """
    step = -(-offered.allowed // _NORMALIZED_OVER)
    sample = offered.vectors[: offered.allowed : step].astype(np.float64)
    scores = offered.scoring.all(users.astype(np.float64), sample)
    sampled = repeat_scores.items % step == 0
    scores[repeat_scores.rows[sampled], repeat_scores.items[sampled] // step] = -np.inf
    pairs = offered.scoring.pairs(users, offered.vectors, repeat_scores.rows, repeat_scores.items)
    repeat_totals = pairs + repeat_scores.additions - np.log(step)
    top = scores.max(axis=1)
    np.maximum.at(top, repeat_scores.rows, repeat_totals)
    sums = np.exp(scores - top[:, None]).sum(axis=1)
    sums += np.bincount(repeat_scores.rows, np.exp(repeat_totals - top[repeat_scores.rows]), minlength=len(users))
    return np.asarray(np.round(top + np.log(sums), 4))[:, None]
