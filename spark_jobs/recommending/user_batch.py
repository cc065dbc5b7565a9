"""A batch of users as arrays: their vectors, and their histories as indices of offered items."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from pipeline_tasks.data.interactions import Flags
from pipeline_tasks.recommend.excluded_items import joined, only
from pipeline_tasks.recommend.offered_items import OfferedItems
from pipeline_tasks.recommend.repeat_scores import RepeatScores
from pipeline_tasks.spark_place import cores
from pipeline_tasks.topk.arrays import Exclusions, Indices, Vectors

COLUMNS = ("user_key", "vector", "own_items", "own_scores", "item_ids", "event_types", "timestamps")
"""Columns of a batch."""
USERS_PER_PART = 20_000
"""Most users of a partition. In eight partitions of a million users, each sort of their events spills to disk."""
VECTORS = "user_key string, vector array<float>, own_items array<int>, own_scores array<float>"
"""Schema of the columns that `pipeline_tasks.registry.embed_items` writes; a run without known users has no file."""


def count_parts(spark: SparkSession, users: int) -> int:
    """Return the number of partitions for this number of users; each is small enough to be sorted in memory."""
    return max(cores(spark), users // USERS_PER_PART)


@dataclass(frozen=True)
class Users:
    """n users with m events in all, without the users who opted out of recommendations."""

    keys: list[str]
    vectors: Vectors
    """(n, d)."""
    repeat_scores: RepeatScores
    """Scores that the model adds for items of their histories, by index of the offered item."""
    offsets: Indices
    """(n + 1,): user i has the events offsets[i]:offsets[i + 1]."""
    history: Indices
    """(m,) index of the offered item, -1 for items that are not offered."""
    types: pa.Array
    """(m,) event types."""
    times: Indices
    """(m,) epoch microseconds."""
    event_types_by_user: list[list[str]]
    """n lists of event types, in the order of `history`."""

    @property
    def seen_items(self) -> Exclusions:
        """User -> the offered items of their history."""
        return only(Exclusions(self.offsets, self.history), self.history >= 0)

    def exclusions(self, offered: OfferedItems, bought_since: int, excluded_types: tuple[str, ...] = ()) -> Exclusions:
        """Return user -> the items that must not be recommended to them.

        These are items bought at or after `bought_since` (epoch microseconds), items of an event of `excluded_types`,
        and items that the user opted out of. Items that nobody may be shown are not listed: `OfferedItems.allowed`
        excludes them.
        """
        excluded = _is_in(self.types, ("purchase",)) & (self.times >= bought_since) | _is_in(self.types, excluded_types)
        excluded &= (self.history >= 0) & (self.history < offered.allowed)
        excluded &= ~offered.is_replenishable[self.history]
        own = only(Exclusions(self.offsets, self.history), excluded)
        unwanted = offered.opted_out(self.keys)
        return joined(own, only(unwanted, unwanted.items < offered.allowed))


def read_users(batch: pa.RecordBatch, offered: OfferedItems) -> Users:
    """Return the users of a batch with the columns `COLUMNS`, without those who opted out of recommendations."""
    if offered.without_recommendations:
        batch = batch.filter(pc.invert(pc.is_in(batch["user_key"], value_set=offered.opted_out_keys)))
    lengths = pc.list_value_length(batch["item_ids"]).to_numpy()
    vectors = batch["vector"].flatten().to_numpy(zero_copy_only=False)
    return Users(
        batch["user_key"].to_pylist(),
        vectors.reshape(batch.num_rows, offered.vectors.shape[1]).astype(np.float32, copy=False),
        _read_repeat_scores(batch, offered),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        offered.indices(batch["item_ids"].flatten()),
        batch["event_types"].flatten(),
        batch["timestamps"].flatten().to_numpy(zero_copy_only=False),
        batch["event_types"].to_pylist(),
    )


def _is_in(types: pa.Array, wanted: tuple[str, ...]) -> Flags:
    flags: Flags = pc.is_in(types, value_set=pa.array(wanted, pa.string())).to_numpy(zero_copy_only=False)
    return flags


def _read_repeat_scores(batch: pa.RecordBatch, offered: OfferedItems) -> RepeatScores:
    counts = pc.list_value_length(batch["own_items"]).to_numpy()
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    embedded = batch["own_items"].flatten().to_numpy(zero_copy_only=False)
    places = offered.embedded[embedded]
    own = RepeatScores(starts, places, batch["own_scores"].flatten().to_numpy(zero_copy_only=False).astype(np.float64))
    return own.only(places >= 0)
