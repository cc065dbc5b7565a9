"""A batch of users as arrays: vectors, and histories in terms of the shelf."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from pipeline_tasks.data.interactions import Flags
from pipeline_tasks.recommend.excluded_items import joined, only
from pipeline_tasks.recommend.offered_items import OfferedItems
from pipeline_tasks.recommend.repeat_scores import RepeatScores
from pipeline_tasks.topk.arrays import Exclusions, Indices, Vectors

COLUMNS = ("user_key", "vector", "own_items", "own_scores", "item_ids", "event_types", "timestamps")
"""What a batch must hold."""
USERS_PER_PART = 20_000
"""Of eight parts of a million users each sort of their events spills, .9 GB together."""
VECTORS = "user_key string, vector array<float>, own_items array<int>, own_scores array<float>"
"""Of them, what embed_shelf writes: no file at all on a night without a known user."""


def count_parts(spark: SparkSession, users: int) -> int:
    """Return in how many partitions so many users are worked on: none of them is too large to sort in memory."""
    return max(spark.sparkContext.defaultParallelism, users // USERS_PER_PART)


@dataclass(frozen=True)
class Users:
    """n users with m events in all, those who want no shelf left out."""

    keys: list[str]
    vectors: Vectors
    """(n, d)."""
    own: RepeatScores
    """What the model adds for their own items, in terms of the shelf."""
    offsets: Indices
    """(n + 1,): user i did the events offsets[i]:offsets[i + 1]."""
    history: Indices
    """(m,) index on the shelf, -1 for items that it does not hold."""
    types: pa.Array
    """(m,) event types."""
    times: Indices
    """(m,) epoch microseconds."""
    deeds: list[list[str]]
    """Event types, user by user."""

    @property
    def known(self) -> Exclusions:
        """What each has turned to, of the items that the shelf holds."""
        return only(Exclusions(self.offsets, self.history), self.history >= 0)

    def banned(self, shelf: OfferedItems, bought_since: int, excluded_types: tuple[str, ...] = ()) -> Exclusions:
        """Return what each must not get: bought at or after `bought_since`, of an event of `excluded_types`, or opted
        out of.

        Items that nobody may get are left out: `OfferedItems.allowed` sees to them.
        """
        taken = _is_in(self.types, ("purchase",)) & (self.times >= bought_since) | _is_in(self.types, excluded_types)
        taken &= (self.history >= 0) & (self.history < shelf.allowed)
        taken &= ~shelf.comes_again[self.history]
        owned = only(Exclusions(self.offsets, self.history), taken)
        unwanted = shelf.opted_out(self.keys)
        return joined(owned, only(unwanted, unwanted.items < shelf.allowed))


def read_users(batch: pa.RecordBatch, shelf: OfferedItems) -> Users:
    """Return the users of a batch with the columns `COLUMNS`."""
    if shelf.no_shelf:
        batch = batch.filter(pc.invert(pc.is_in(batch["user_key"], value_set=shelf.unwilling)))
    lengths = pc.list_value_length(batch["item_ids"]).to_numpy()
    vectors = batch["vector"].flatten().to_numpy(zero_copy_only=False)
    return Users(
        batch["user_key"].to_pylist(),
        vectors.reshape(batch.num_rows, shelf.vectors.shape[1]).astype(np.float32, copy=False),
        _own(batch, shelf),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        shelf.indices(batch["item_ids"].flatten()),
        batch["event_types"].flatten(),
        batch["timestamps"].flatten().to_numpy(zero_copy_only=False),
        batch["event_types"].to_pylist(),
    )


def _is_in(types: pa.Array, wanted: tuple[str, ...]) -> Flags:
    flags: Flags = pc.is_in(types, value_set=pa.array(wanted, pa.string())).to_numpy(zero_copy_only=False)
    return flags


def _own(batch: pa.RecordBatch, shelf: OfferedItems) -> RepeatScores:
    counts = pc.list_value_length(batch["own_items"]).to_numpy()
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    embedded = batch["own_items"].flatten().to_numpy(zero_copy_only=False)
    places = shelf.embedded[embedded]
    own = RepeatScores(starts, places, batch["own_scores"].flatten().to_numpy(zero_copy_only=False).astype(np.float64))
    return own.only(places >= 0)
