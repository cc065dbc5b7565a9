"""Scores shoppers against the whole shelf, a batch of them at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from pipeline_tasks.bulk_top_k.scoring_device import scoring_on
from pipeline_tasks.contracts import TABLES
from pipeline_tasks.shelves.diversify import NOTHING
from pipeline_tasks.shelves.fill_shelves import Filled, fill_shelves
from pipeline_tasks.shelves.shelf import Shelf, open_shelf
from pipeline_tasks.shelves.shelf_reasons import explain
from pipeline_tasks.shelves.shelf_rules import ShelfRules
from pipeline_tasks.tables.schemas import arrow_schema
from spark_jobs.shopper_batch import Shoppers, read_shoppers
from spark_jobs.task_gpu import task_device


@dataclass(frozen=True)
class Order:
    """What to put on every shelf."""

    folder: str
    """Of `pipeline_tasks.shelves.shelf`."""
    rows: int
    """Per shopper."""
    bought_since: int
    """Items bought at or after this (epoch microseconds) are left out, unless they are replenishable."""
    block: int
    """Shoppers scored at a time."""
    model_version: str
    ds: date
    rules: ShelfRules
    excluded_types: tuple[str, ...] = ()
    """Items of a user's events of these types are left out, unless they are replenishable."""


def recommender(order: Order) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function for `mapInArrow`.

    From the columns of `shopper_batch.COLUMNS` to the columns of `recommendations`.
    """

    def recommend(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        device = task_device()
        for batch in batches:
            if batch.num_rows:
                with scoring_on(device):
                    rows = recommend_batch(batch, order)
                yield rows

    return recommend


def recommend_batch(batch: pa.RecordBatch, order: Order) -> pa.RecordBatch:
    """Return the rows of `recommendations` of a batch of shoppers."""
    shelf = open_shelf(order.folder)
    shoppers = read_shoppers(batch, shelf)
    banned, known = shoppers.banned(shelf, order.bought_since, order.excluded_types), shoppers.known
    arms = order.rules.assign(shoppers.keys)
    filled = Filled.empty(len(shoppers.keys), order.rows)
    for number, arm in enumerate(order.rules.arms):
        rows = np.flatnonzero(arms == number)
        if len(rows):
            theirs = shoppers.vectors[rows], banned.of(rows), known.of(rows), shoppers.own.of(rows)
            filled.put(rows, fill_shelves(shelf, *theirs, order.rows, arm.plan, order.block))
    return _rows(shoppers, shelf, filled, [order.rules.arms[arm].name for arm in arms], order)


def _reasons(shoppers: Shoppers, shelf: Shelf, filled: Filled) -> list[str]:
    reasons: list[str] = []
    for row, deeds in enumerate(shoppers.deeds):
        full = filled.items[row] != NOTHING
        history = shoppers.history[shoppers.offsets[row] : shoppers.offsets[row + 1]]
        reasons += explain(shelf, filled.items[row][full], history, deeds, filled.new[row][full])
    return reasons


def _rows(shoppers: Shoppers, shelf: Shelf, filled: Filled, arms: list[str], order: Order) -> pa.RecordBatch:
    owners, places = np.nonzero(filled.items != NOTHING)
    columns = {
        "user_key": pa.array(shoppers.keys, pa.string()).take(owners),
        "rank": (places + 1).astype(np.int32),
        "item_id": shelf.item_ids.take(filled.items[owners, places]),
        "score": filled.scores[owners, places],
        "reason": _reasons(shoppers, shelf, filled),
        "arm": pa.array(arms, pa.string()).take(owners),
        "model_version": pa.repeat(order.model_version, len(owners)),
        "ds": pa.repeat(pa.scalar(order.ds), len(owners)),
    }
    return pa.RecordBatch.from_pydict(columns, schema=arrow_schema(TABLES["recommendations"]))
