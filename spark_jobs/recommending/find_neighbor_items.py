"""Finds what stands beside every item: the items like it, and what a visitor who turned to it wants next."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

import numpy as np
import pyarrow as pa

from pipeline_tasks.recommend.excluded_items import only
from pipeline_tasks.recommend.offered_items import OfferedItems, open_offered_items
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema
from pipeline_tasks.topk.arrays import Exclusions, Indices, TopK
from pipeline_tasks.topk.scoring_device import scoring_on
from pipeline_tasks.topk.top_k import top_k
from spark_jobs.common.task_gpu import task_device

NeighborTable = Literal["similar_items", "next_items"]
NEIGHBORS: Final[dict[NeighborTable, str]] = {"similar_items": "similar_item_id", "next_items": "next_item_id"}
"""The column that holds the neighbor."""


@dataclass(frozen=True)
class NeighborOrder:
    """What to find beside every item."""

    table: NeighborTable
    folder: str
    """Of `pipeline_tasks.recommend.offered_items`."""
    rows: int
    """Per item."""
    block: int
    """Items scored at a time."""
    model_version: str
    ds: date


def neighbor_finder(order: NeighborOrder) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function for `mapInArrow`: (id: index of an item on the shelf) -> the table's rows."""

    def find(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        shelf, device = open_offered_items(order.folder), task_device()
        for batch in batches:
            wanted = batch["id"].to_numpy()
            if not len(wanted):
                continue
            itself = only(Exclusions(np.arange(len(wanted) + 1), wanted), wanted < shelf.allowed)
            with scoring_on(device):
                best = _best(shelf, wanted, itself, order)
            yield _rows(shelf, wanted, best, order)

    return find


def _best(shelf: OfferedItems, wanted: Indices, itself: Exclusions, order: NeighborOrder) -> TopK:
    if order.table == "similar_items":
        return top_k(shelf.content[wanted], shelf.content[: shelf.allowed], order.rows, itself, order.block)
    visitors, allowed = shelf.visitors[wanted], shelf.vectors[: shelf.allowed]
    return above_the_rest(shelf.scoring.best(visitors, allowed, order.rows + 1, itself, order.block), order.rows)


def above_the_rest(best: TopK, rows: int) -> TopK:
    """Return the first `rows` of each list, their scores less that of the best item left out (of all that there are,
    where none is): what is in no list then counts 0 in a sum of lists, as it should.

    Online Retail's visits, NDCG@10 on validation of what completes a basket, 20 rows an item: .197 so, .167 by the
    scores as they are, .062 by reciprocal ranks; the model, asked for the whole basket, .203.
    """
    counts = np.diff(best.starts)
    owners = np.repeat(np.arange(len(counts)), counts)
    scores = best.scores - best.scores[best.starts[1:][owners] - 1]
    kept = np.arange(len(owners)) - best.starts[owners] < rows
    starts = np.concatenate([[0], np.cumsum(np.minimum(counts, rows))]).astype(np.int64)
    return TopK(starts, best.items[kept], scores[kept])


def _rows(shelf: OfferedItems, wanted: Indices, best: TopK, order: NeighborOrder) -> pa.RecordBatch:
    owners = np.repeat(np.arange(len(wanted)), np.diff(best.starts))
    columns = {
        "item_id": shelf.item_ids.take(wanted[owners]),
        "rank": (np.arange(len(owners)) - best.starts[owners] + 1).astype(np.int32),
        NEIGHBORS[order.table]: shelf.item_ids.take(best.items),
        "score": best.scores,
        "model_version": pa.repeat(order.model_version, len(owners)),
        "ds": pa.repeat(pa.scalar(order.ds), len(owners)),
    }
    return pa.RecordBatch.from_pydict(columns, schema=arrow_schema(TABLES[order.table]))
