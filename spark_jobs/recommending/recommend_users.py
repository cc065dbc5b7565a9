"""Scores users against the whole shelf, a batch of them at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from pipeline_tasks.config.business_rules import BusinessRules
from pipeline_tasks.recommend.diversify import NOTHING
from pipeline_tasks.recommend.fill_recommendations import Filled, fill_recommendations
from pipeline_tasks.recommend.offered_items import OfferedItems, open_offered_items
from pipeline_tasks.recommend.reasons import explain
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema
from pipeline_tasks.topk.scoring_device import scoring_on
from spark_jobs.common.task_gpu import task_device
from spark_jobs.recommending.user_batch import Users, read_users


@dataclass(frozen=True)
class Order:
    """What to put on every shelf."""

    folder: str
    """Of `pipeline_tasks.recommend.offered_items`."""
    rows: int
    """Per user."""
    bought_since: int
    """Items bought at or after this (epoch microseconds) are left out, unless they are replenishable."""
    block: int
    """Users scored at a time."""
    model_version: str
    ds: date
    rules: BusinessRules
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
    """Return the rows of `recommendations` of a batch of users."""
    shelf = open_offered_items(order.folder)
    users = read_users(batch, shelf)
    banned, known = users.banned(shelf, order.bought_since, order.excluded_types), users.known
    arms = order.rules.assign(users.keys)
    filled = Filled.empty(len(users.keys), order.rows)
    for number, arm in enumerate(order.rules.arms):
        rows = np.flatnonzero(arms == number)
        if len(rows):
            theirs = users.vectors[rows], banned.of(rows), known.of(rows), users.own.of(rows)
            filled.put(rows, fill_recommendations(shelf, *theirs, order.rows, arm.plan, order.block))
    return _rows(users, shelf, filled, [order.rules.arms[arm].name for arm in arms], order)


def _reasons(users: Users, shelf: OfferedItems, filled: Filled) -> list[str]:
    reasons: list[str] = []
    for row, deeds in enumerate(users.deeds):
        full = filled.items[row] != NOTHING
        history = users.history[users.offsets[row] : users.offsets[row + 1]]
        reasons += explain(shelf, filled.items[row][full], history, deeds, filled.new[row][full])
    return reasons


def _rows(users: Users, shelf: OfferedItems, filled: Filled, arms: list[str], order: Order) -> pa.RecordBatch:
    owners, places = np.nonzero(filled.items != NOTHING)
    columns = {
        "user_key": pa.array(users.keys, pa.string()).take(owners),
        "rank": (places + 1).astype(np.int32),
        "item_id": shelf.item_ids.take(filled.items[owners, places]),
        "score": filled.scores[owners, places],
        "reason": _reasons(users, shelf, filled),
        "arm": pa.array(arms, pa.string()).take(owners),
        "model_version": pa.repeat(order.model_version, len(owners)),
        "ds": pa.repeat(pa.scalar(order.ds), len(owners)),
    }
    return pa.RecordBatch.from_pydict(columns, schema=arrow_schema(TABLES["recommendations"]))
