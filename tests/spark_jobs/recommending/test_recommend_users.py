"""Recommendations without Spark: the function that scores a batch, on stored offered items."""

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline_tasks.config.business_rules import Arm, BusinessRules, RecommendationPlan
from pipeline_tasks.recommend.excluded_items import OPT_OUTS, Excluded
from pipeline_tasks.recommend.prepare_offered_items import prepare_offered_items
from spark_jobs.recommending.recommend_users import RecommendationRequest, recommend_batch
from tests.spark_jobs.small_run import ITEMS, RUN_KEY, item, item_vectors, micros, user_vectors, write_vectors

NEW = ("i07", "i10", "i11")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    write_vectors(tmp_path / "vectors", user_vectors(), item_vectors())
    rows = [{"brand": None, "ds": RUN_KEY.ds} | item(name, number) for number, name in enumerate(ITEMS)]
    rows = [row if row["item_id"] in NEW else row | {"first_seen": date(2026, 10, 1)} for row in rows]
    return prepare_offered_items(
        tmp_path / "vectors", pa.Table.from_pylist(rows), Excluded({}, OPT_OUTS.empty_table()), set()
    )[0]


def recommend_to_ann(folder: str, *looked_at: str) -> list[dict[str, Any]]:
    batch = pa.RecordBatch.from_pydict(
        {
            "user_key": ["ann"],
            "vector": pa.array([user_vectors()["ann"].tolist()], pa.list_(pa.float32())),
            "own_items": pa.array([[]], pa.list_(pa.int32())),
            "own_scores": pa.array([[]], pa.list_(pa.float32())),
            "item_ids": pa.array([list(looked_at)], pa.list_(pa.string())),
            "event_types": pa.array([["view"] * len(looked_at)], pa.list_(pa.string())),
            "timestamps": pa.array([[micros(19)] * len(looked_at)], pa.list_(pa.int64())),
        }
    )
    rules = BusinessRules(
        arms=[Arm(name="control", share=1, plan=RecommendationPlan(mmr_lambda=1, exploration_share=0.5))]
    )
    rows: list[dict[str, Any]] = recommend_batch(
        batch, RecommendationRequest(folder, 4, micros(15), 2, "m/1", RUN_KEY.ds, rules)
    ).to_pylist()
    return rows


def explored(rows: list[dict[str, Any]]) -> set[str]:
    return {row["item_id"] for row in rows if row["reason"].startswith("new in ")}


def test_viewed_items_are_not_offered_as_new(folder: str) -> None:
    first = explored(recommend_to_ann(folder, "i00"))
    assert len(first) == 2
    assert first < set(NEW)
    for seen in first:
        rows = recommend_to_ann(folder, "i00", seen, "not recommended")
        assert explored(rows) == set(NEW) - {seen}
        assert len(rows) == 4
    assert explored(recommend_to_ann(folder, *NEW)) == set()


def test_no_reason_is_popular_without_popularity(folder: str) -> None:
    reasons = [row["reason"] for looked_at in (["i00"], ["i09"], []) for row in recommend_to_ann(folder, *looked_at)]
    assert {reason.split()[0] for reason in reasons} <= {"because", "more", "chosen", "new"}
