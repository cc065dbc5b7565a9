"""The items that may be recommended on a day, with their vectors in files that every scoring process maps.

`prepare_offered_items` writes the files once, on the driver. `open_offered_items` maps them in every process that
scores, so that all processes of a machine share one copy.
"""

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline_tasks.data.interactions import Flags
from pipeline_tasks.recommend.diversify import ItemSimilarity
from pipeline_tasks.recommend.excluded_items import OPT_OUTS
from pipeline_tasks.topk.arrays import Exclusions, Indices, Vectors
from pipeline_tasks.topk.pair_scores import DotScores, PairScores, pair_scores

_MAX_NEW_SHARE: Final = 0.5
"""Where a larger share of the items is new, the shop itself is new, and no item counts as new."""


@dataclass(frozen=True)
class OfferedItems:
    """n items in a fixed order, with the items that may be shown first. The index of an item is its place here."""

    item_ids: pa.Array
    titles: list[str | None]
    categories: list[str | None]
    brands: list[str | None]
    ages: Indices
    """(n,) days since the item was first seen."""
    vectors: Vectors
    """(n, d): `scoring` computes a user's score of an item from the two vectors."""
    content: Vectors
    """(n, c): the items' content without their demand, of length 1, so that the product is the cosine."""
    visitors: Vectors
    """(n, d): the user vector of a visitor with one event, with the item."""
    embedded: Indices
    """Index of each item in item_ids.parquet, in the order of that file; -1 where the item is not offered."""
    allowed: int
    """The number of items that may be shown: the first ones."""
    replenishable: frozenset[int]
    """Items that may be shown again directly after they were bought."""
    opt_outs: dict[str, Indices]
    """User -> the items that the user does not want to see."""
    without_recommendations: frozenset[str]
    """Users who want no recommendations at all."""
    scoring: PairScores = field(default_factory=DotScores)

    def indices(self, item_ids: pa.Array) -> Indices:
        """Return the index of each id, -1 where the item is not offered."""
        places = pc.fill_null(pc.index_in(item_ids, value_set=self.item_ids), -1)
        return np.asarray(places.to_numpy(zero_copy_only=False), np.int64)

    def new_items(self, days: int) -> Indices:
        """Return the items that may be shown and were first seen less than `days` days ago; none for a new shop."""
        new = np.flatnonzero(self.ages[: self.allowed] < days)
        return new if len(new) <= _MAX_NEW_SHARE * self.allowed else new[:0]

    def opted_out(self, user_keys: list[str]) -> Exclusions:
        """Return the items that each user does not want to see."""
        unwanted = [self.opt_outs.get(key, self._nothing) for key in user_keys]
        starts = np.concatenate([[0], np.cumsum([len(items) for items in unwanted])]).astype(np.int64)
        return Exclusions(starts, np.concatenate([self._nothing, *unwanted]))

    @cached_property
    def is_replenishable(self) -> Flags:
        """(n,) whether the item is replenishable."""
        flags = np.zeros(len(self.item_ids), np.bool_)
        flags[list(self.replenishable)] = True
        return flags

    @cached_property
    def opted_out_keys(self) -> pa.Array:
        """`without_recommendations` as a sorted Arrow array, for look-ups."""
        return pa.array(sorted(self.without_recommendations), pa.string())

    @cached_property
    def similarity(self) -> ItemSimilarity:
        """The properties by which the items are similar."""
        return ItemSimilarity(self.content, _codes(self.categories), _codes(self.brands))

    @cached_property
    def _nothing(self) -> Indices:
        return np.zeros(0, np.int64)


@lru_cache(maxsize=1)
def open_offered_items(folder: str) -> OfferedItems:
    """Return the offered items in a folder, which each process opens once."""
    path = Path(folder)
    items, rules = pq.read_table(path / "items.parquet"), pq.read_table(path / "rules.parquet")
    item_ids = items["item_id"].combine_chunks()
    ages = pc.days_between(items["first_seen"], items["ds"])
    opt_outs = pq.read_table(path / "opt_outs.parquet", schema=OPT_OUTS)
    whole = pc.is_null(opt_outs["item_id"])
    return OfferedItems(
        item_ids,
        items["title"].to_pylist(),
        items["category"].to_pylist(),
        items["brand"].to_pylist(),
        pc.fill_null(ages, np.iinfo(np.int64).max).to_numpy(),
        _map(path / "vectors.npy"),
        _map(path / "content.npy"),
        _map(path / "visitors.npy"),
        _map(path / "embedded.npy"),
        pc.sum(rules["allowed"]).as_py(),
        frozenset(np.flatnonzero(rules["replenishable"].to_numpy()).tolist()),
        _unwanted(opt_outs.filter(pc.invert(whole)), item_ids),
        frozenset(opt_outs.filter(whole)["user_key"].to_pylist()),
        pair_scores(np.load(path / "additive_weights.npy")),
    )


def _map(path: Path) -> Any:  # noqa: ANN401
    """Return the mapped array as a plain array, because slicing numpy's memmap takes ten times as long."""
    return np.asarray(np.load(path, mmap_mode="r"))


def _unwanted(opt_outs: pa.Table, item_ids: pa.Array) -> dict[str, Indices]:
    """Return the unwanted items of each user in ascending order, without items that are not offered."""
    places = pc.index_in(opt_outs["item_id"].combine_chunks(), value_set=item_ids).to_pylist()
    wanted: dict[str, set[int]] = {}
    for user, place in zip(opt_outs["user_key"].to_pylist(), places, strict=True):
        if place is not None:
            wanted.setdefault(user, set()).add(place)
    return {user: np.array(sorted(items), np.int64) for user, items in wanted.items()}


def _codes(names: list[str | None]) -> Indices:
    """Return a number for each name, -1 for None."""
    places: dict[str | None, int] = {None: -1}
    return np.array([places.setdefault(name, len(places) - 1) for name in names], np.int64)
