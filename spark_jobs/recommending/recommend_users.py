"""Computes the rows of `recommendations`: scores batches of users against all offered items."""

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
from pipeline_tasks.topk.top_k import use_scoring_device
from spark_jobs.common.task_gpu import task_device
from spark_jobs.recommending.user_batch import Users, read_users


@dataclass(frozen=True)
class RecommendationRequest:
    """Parameters of the recommendations."""

    folder: str
    """Folder of `pipeline_tasks.recommend.offered_items`."""
    rows: int
    """Rows per user."""
    bought_since: int
    """Items bought at or after this (epoch microseconds) are left out, unless they are replenishable."""
    block: int
    """Users scored at a time."""
    model_version: str
    ds: date
    rules: BusinessRules
    excluded_types: tuple[str, ...] = ()
    """Items of a user's events of these types are left out, unless they are replenishable."""


def recommender(request: RecommendationRequest) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function for `mapInArrow`: the columns `user_batch.COLUMNS` -> the columns of `recommendations`."""

    def recommend(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        device = task_device()
        for batch in batches:
            if batch.num_rows:
                with use_scoring_device(device):
                    rows = recommend_batch(batch, request)
                yield rows

    return recommend


def recommend_batch(batch: pa.RecordBatch, request: RecommendationRequest) -> pa.RecordBatch:
    """Return the rows of `recommendations` of a batch of users."""
    offered = open_offered_items(request.folder)
    users = read_users(batch, offered)
    exclusions, seen_items = users.exclusions(offered, request.bought_since, request.excluded_types), users.seen_items
    arms = request.rules.assign(users.keys)
    filled = Filled.empty(len(users.keys), request.rows)
    for number, arm in enumerate(request.rules.arms):
        rows = np.flatnonzero(arms == number)
        if len(rows):
            arm_users = users.vectors[rows], exclusions.of(rows), seen_items.of(rows), users.repeat_scores.of(rows)
            filled.put(rows, fill_recommendations(offered, *arm_users, request.rows, arm.plan, request.block))
    return _rows(users, offered, filled, [request.rules.arms[arm].name for arm in arms], request)


def _reasons(users: Users, offered: OfferedItems, filled: Filled) -> list[str]:
    reasons: list[str] = []
    for row, event_types in enumerate(users.event_types_by_user):
        full = filled.items[row] != NOTHING
        history = users.history[users.offsets[row] : users.offsets[row + 1]]
        reasons += explain(offered, filled.items[row][full], history, event_types, filled.new[row][full])
    return reasons


def _rows(
    users: Users, offered: OfferedItems, filled: Filled, arms: list[str], request: RecommendationRequest
) -> pa.RecordBatch:
    owners, places = np.nonzero(filled.items != NOTHING)
    columns = {
        "user_key": pa.array(users.keys, pa.string()).take(owners),
        "rank": (places + 1).astype(np.int32),
        "item_id": offered.item_ids.take(filled.items[owners, places]),
        "score": filled.scores[owners, places],
        "reason": _reasons(users, offered, filled),
        "arm": pa.array(arms, pa.string()).take(owners),
        "model_version": pa.repeat(request.model_version, len(owners)),
        "ds": pa.repeat(pa.scalar(request.ds), len(owners)),
    }
    return pa.RecordBatch.from_pydict(columns, schema=arrow_schema(TABLES["recommendations"]))
