"""Fills audiences: for every item and category, the users to show it to.

A user's score of an item is a dot product (or what else `pair_scores` makes of both vectors, which is as symmetric);
read the other way round, one product after another of a block of users with all targets. What the model adds for a
user's own items joins it as on the shelves: see `own_scores`. Scores of different users are comparable once each
is taken as the log of the item's share among all that the user could be shown (a softmax, as the model is trained),
which is one more dimension: 1 of the target, minus the log of the sum of the user. A category is scored as its mean
item: for a dot product, the mean of its items' scores.
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
from pipeline_tasks.recommend.repeat_scores import RepeatScores, best_with_own
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.topk.arrays import Indices, Scores, Vectors
from pipeline_tasks.topk.scoring_device import scoring_on
from spark_jobs.common.task_gpu import task_device
from spark_jobs.recommending.audience_targets import Targets, banned_by_target, find_targets, own_by_target
from spark_jobs.recommending.user_batch import read_users

_PARTIAL: Final = "target_type string, target string, user_key string, score double"
_BATCHES: Final = 8
"""Batches of users whose best are found together. Of 20,480 users for 10,000 items: 0.25 s together, 2.0 s and as
much for merging by batches of 2,048."""
_NORMALIZED_OVER: Final = 4_096
"""Items, at even distances, that stand for the whole shelf in a user's sum: a bounded cost at any catalog size."""


@dataclass(frozen=True)
class AudienceOrder:
    """What audiences to find."""

    folder: str
    items: tuple[int, ...]
    """Indices on the shelf of the items that get one."""
    rows: int
    """Users per target."""
    bought_since: int
    """Whoever bought the item at or after this (epoch microseconds) is left out, unless it is replenishable."""
    block: int
    model_version: str
    ds: date
    excluded_types: tuple[str, ...] = ()
    """Users with an event of these types with the item are left out, unless it is replenishable."""


def find_audiences(users: DataFrame, order: AudienceOrder) -> DataFrame:
    """Return the rows of audiences from the columns of `shopper_batch.COLUMNS`, by user_key within each partition.

    Every partition finds its own best, n per target; those meet in one shuffle.
    """
    best = Window.partitionBy("target_type", "target").orderBy(F.desc("score"), "user_key")
    return (
        # Products of whole blocks: no Spark expression does this.
        users.mapInArrow(_finder(order), _PARTIAL)
        .withColumn("rank", F.row_number().over(best))
        .where(F.col("rank") <= order.rows)
        .withColumns({"model_version": F.lit(order.model_version), "ds": F.lit(order.ds)})
        .select(TABLES["audiences"].column_names)
    )


def _finder(order: AudienceOrder) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def find(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        shelf = open_offered_items(order.folder)
        targets = find_targets(shelf, order.items)
        if not targets.names:
            return
        found, device = _Found.none(), task_device()
        for batch in _together(batches):
            with scoring_on(device):
                best = _best_of(batch, shelf, targets, order)
            found = found.best_with(best, order.rows)
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


def _together(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `_BATCHES` batches at a time as one."""
    while some := list(islice(batches, _BATCHES)):
        table = pa.Table.from_batches(some)
        # One chunk a column, as long as a user's vectors and texts are below 2 GiB together.
        yield from table.combine_chunks().to_batches() if table.num_rows else ()


@dataclass(frozen=True)
class _Found:
    """Best users so far, target by target."""

    targets: Indices
    users: np.ndarray
    scores: Scores

    @classmethod
    def none(cls) -> "_Found":
        return cls(np.zeros(0, np.int64), np.zeros(0, object), np.zeros(0))

    def best_with(self, other: "_Found", rows: int) -> "_Found":
        targets, users, scores = (
            np.concatenate(pair)
            for pair in ((self.targets, other.targets), (self.users, other.users), (self.scores, other.scores))
        )
        # Stable, and users arrive by user_key: equal scores stay in its order. Comparing text took
        # a batch 2.1 s of processor time in place of 0.3 (10,000 targets, 50 users each).
        order = np.lexsort((-scores, targets))
        sorted_targets = targets[order]
        ranks = np.arange(len(order)) - np.searchsorted(sorted_targets, sorted_targets)
        kept = order[ranks < rows]
        return _Found(targets[kept], users[kept], scores[kept])


def _best_of(batch: pa.RecordBatch, shelf: OfferedItems, targets: Targets, order: AudienceOrder) -> _Found:
    users = read_users(batch, shelf)
    if not users.keys:
        return _Found.none()
    own = users.own.only(users.own.items < shelf.allowed)
    best = best_with_own(
        targets.vectors,
        _comparable(users.vectors, own, shelf, order.block),
        order.rows,
        banned_by_target(users.banned(shelf, order.bought_since, order.excluded_types), targets),
        own_by_target(own, targets),
        # Fewer targets at a time, as there are more users: memory stays block x shelf.
        -(-order.block // _BATCHES),
        shelf.scoring,
    )
    owners, ranks = np.nonzero(best.items != NOTHING)
    return _Found(owners, np.array(users.keys, object)[best.items[owners, ranks]], best.scores[owners, ranks])


def _comparable(users: Vectors, own: RepeatScores, shelf: OfferedItems, block: int) -> Vectors:
    """Return (n, d + 1): the vectors, and minus the log of each user's sum."""
    starts = range(0, len(users), block)
    sums = [_log_sums(users[first : first + block], own.block(first, first + block), shelf) for first in starts]
    return np.concatenate([users, -np.concatenate(sums)], axis=1).astype(np.float32)


def _log_sums(users: Vectors, own: RepeatScores, shelf: OfferedItems) -> Scores:
    """Return (n, 1) logs of the sum of exp(score), rounded so that no order of additions shows.

    Own items all count, each as one item of the shelf; of the others, those at even distances stand for the rest.
    """
    every = -(-shelf.allowed // _NORMALIZED_OVER)
    sample = shelf.vectors[: shelf.allowed : every].astype(np.float64)
    scores = shelf.scoring.all(users.astype(np.float64), sample)
    sampled = own.items % every == 0
    scores[own.rows[sampled], own.items[sampled] // every] = -np.inf
    added = shelf.scoring.pairs(users, shelf.vectors, own.rows, own.items) + own.additions - np.log(every)
    top = scores.max(axis=1)
    np.maximum.at(top, own.rows, added)
    sums = np.exp(scores - top[:, None]).sum(axis=1)
    sums += np.bincount(own.rows, np.exp(added - top[own.rows]), minlength=len(users))
    return np.asarray(np.round(top + np.log(sums), 4))[:, None]
