"""Scores shoppers against the whole shelf, a batch of them at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_tasks.contracts import TABLES
from pipeline_tasks.schemas import arrow_schema
from pipeline_tasks.shelf import Shelf, open_shelf
from pipeline_tasks.shelf_reasons import explain
from pipeline_tasks.top_k import Exclusions, Indices, TopK, top_k

CONTROL = "control"
"""The only A/B arm so far."""


@dataclass(frozen=True)
class Order:
    """What to put on every shelf."""

    folder: str
    """Of `pipeline_tasks.shelf`."""
    rows: int
    """Per shopper."""
    bought_since: int
    """Items bought at or after this (epoch microseconds) are left out."""
    block: int
    """Shoppers scored at a time."""
    model_version: str
    ds: date


def recommender(order: Order) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function for `mapInArrow`.

    From (user_key, vector, item_ids, event_types, timestamps) to the columns of `recommendations`.
    """

    def recommend(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows:
                yield recommend_batch(batch, order)

    return recommend


def recommend_batch(shoppers: pa.RecordBatch, order: Order) -> pa.RecordBatch:
    """Return the rows of `recommendations` of a batch of shoppers."""
    shelf = open_shelf(order.folder)
    vectors = shoppers["vector"].flatten().to_numpy(zero_copy_only=False).reshape(shoppers.num_rows, -1)
    history = shelf.indices(shoppers["item_ids"].flatten())
    offsets = np.concatenate([[0], np.cumsum(pc.list_value_length(shoppers["item_ids"]).to_numpy())])
    best = top_k(
        vectors.astype(np.float32, copy=False),
        shelf.vectors,
        order.rows,
        recently_bought(shoppers, history, offsets, order.bought_since),
        order.block,
    )
    return _rows(shoppers, shelf, best, _reasons(shoppers, shelf, best, history, offsets), order)


def recently_bought(shoppers: pa.RecordBatch, history: Indices, offsets: Indices, since: int) -> Exclusions:
    """Return the items that each shopper bought at or after `since`."""
    kinds, times = shoppers["event_types"].flatten(), shoppers["timestamps"].flatten()
    bought = pc.and_(pc.equal(kinds, "purchase"), pc.greater_equal(times, since)).to_numpy(zero_copy_only=False)
    bought &= history >= 0
    counts = np.add.reduceat(np.append(bought, False).astype(np.int64), offsets[:-1])
    counts[np.diff(offsets) == 0] = 0
    return Exclusions(np.concatenate([[0], np.cumsum(counts)]), history[bought])


def _reasons(shoppers: pa.RecordBatch, shelf: Shelf, best: TopK, history: Indices, offsets: Indices) -> list[str]:
    kinds = shoppers["event_types"].to_pylist()
    reasons: list[str] = []
    for row, deeds in enumerate(kinds):
        recommended = best.items[best.starts[row] : best.starts[row + 1]]
        reasons += explain(shelf, recommended, history[offsets[row] : offsets[row + 1]], deeds)
    return reasons


def _rows(shoppers: pa.RecordBatch, shelf: Shelf, best: TopK, reasons: list[str], order: Order) -> pa.RecordBatch:
    counts = np.diff(best.starts)
    owners = np.repeat(np.arange(len(counts)), counts)
    columns = {
        "user_key": shoppers["user_key"].take(owners),
        "rank": (np.arange(len(owners)) - best.starts[owners] + 1).astype(np.int32),
        "item_id": shelf.item_ids.take(best.items),
        "score": best.scores,
        "reason": reasons,
        "arm": pa.repeat(CONTROL, len(owners)),
        "model_version": pa.repeat(order.model_version, len(owners)),
        "ds": pa.repeat(pa.scalar(order.ds), len(owners)),
    }
    return pa.RecordBatch.from_pydict(columns, schema=arrow_schema(TABLES["recommendations"]))
