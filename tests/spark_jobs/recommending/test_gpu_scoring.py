"""Every bulk product of the tables is computed on the GPU that Spark assigned to its task."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline_tasks.config.business_rules import BusinessRules
from pipeline_tasks.recommend.excluded_items import OPT_OUTS, Excluded
from pipeline_tasks.recommend.prepare_offered_items import prepare_offered_items
from pipeline_tasks.topk.arrays import TopK
from pipeline_tasks.topk.top_k import scoring_device
from spark_jobs.recommending import find_audiences, find_neighbor_items, recommend_users
from spark_jobs.recommending.find_neighbor_items import NEIGHBORS, NeighborRequest, NeighborTable
from tests.spark_jobs.small_run import ITEMS, RUN_KEY, item, item_vectors, user_vectors, write_vectors

GPU = "cuda:1"


class CalledError(Exception):
    """Raised with the device on which a product was to be computed."""


def raise_instead(*_: Any) -> TopK:  # noqa: ANN401
    raise CalledError(scoring_device())


@pytest.fixture
def folder(tmp_path: Path) -> str:
    write_vectors(tmp_path / "vectors", user_vectors(), item_vectors())
    rows = [{"brand": None, "ds": date(2026, 11, 20)} | item(name, number) for number, name in enumerate(ITEMS)]
    nothing = Excluded({}, OPT_OUTS.empty_table())
    return prepare_offered_items(tmp_path / "vectors", pa.Table.from_pylist(rows), nothing, set())[0]


@pytest.mark.parametrize("table", NEIGHBORS)
def test_neighbors_are_scored_on_the_gpu(folder: str, monkeypatch: pytest.MonkeyPatch, table: NeighborTable) -> None:
    monkeypatch.setattr(find_neighbor_items, "task_device", lambda: GPU)
    monkeypatch.setattr(find_neighbor_items, "_best", raise_instead)
    find = find_neighbor_items.neighbor_finder(NeighborRequest(table, folder, 2, 8, "m/1", RUN_KEY.ds))
    with pytest.raises(CalledError, match=GPU):
        list(find(iter([pa.RecordBatch.from_pydict({"id": np.arange(3)})])))


def test_audiences(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_audiences, "task_device", lambda: GPU)
    monkeypatch.setattr(find_audiences, "_best_of", raise_instead)
    order = find_audiences.AudienceRequest(folder, (0, 1), 2, 0, 8, "m/1", RUN_KEY.ds)
    with pytest.raises(CalledError, match=GPU):
        list(find_audiences._finder(order)(iter([pa.RecordBatch.from_pydict({"user_key": ["ann"]})])))


def test_recommendations(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recommend_users, "task_device", lambda: GPU)
    monkeypatch.setattr(recommend_users, "recommend_batch", raise_instead)
    order = recommend_users.RecommendationRequest(folder, 2, 0, 8, "m/1", RUN_KEY.ds, BusinessRules())
    with pytest.raises(CalledError, match=GPU):
        list(recommend_users.recommender(order)(iter([pa.RecordBatch.from_pydict({"user_key": ["ann"]})])))


def test_the_cpu_is_used_after_the_task(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    test_neighbors_are_scored_on_the_gpu(folder, monkeypatch, "next_items")
    assert scoring_device() == "cpu"
