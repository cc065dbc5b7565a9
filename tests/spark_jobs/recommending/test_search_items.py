"""Search without Spark: the results for everyone, and the function that reorders them for users."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline_tasks.config.recommendation_settings import ScoringSettings
from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.recommend.excluded_items import OPT_OUTS, Excluded
from pipeline_tasks.recommend.offered_items import open_offered_items
from pipeline_tasks.recommend.prepare_offered_items import prepare_offered_items
from pipeline_tasks.recommend.search_results import find_items, save_found
from pipeline_tasks.registry.embed_items import top_queries
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema
from spark_jobs.recommending.search_items import SearchRequest, _reorderer, found_file, global_results, suggestions
from tests.spark_jobs.small_run import ITEMS, RUN_KEY, item, item_vectors, user_vectors, write_vectors

DS = RUN_KEY.ds


@pytest.fixture
def order(tmp_path: Path) -> SearchRequest:
    """i10 is out of stock, ann opted out of i07, eve opted out of recommendations."""
    write_vectors(tmp_path / "vectors", user_vectors(), item_vectors())
    rows = [{"brand": None, "ds": DS, "attributes": None} | item(name, n) for n, name in enumerate(ITEMS)]
    catalog = pa.Table.from_pylist(rows)
    opted = pa.table({"user_key": ["eve", "ann"], "item_id": [None, "i07"]}, schema=OPT_OUTS)
    folder, _ = prepare_offered_items(tmp_path / "vectors", catalog, Excluded({"i10": "out_of_stock"}, opted), set())
    found = find_items(tmp_path / "vectors", open_offered_items(folder), catalog)
    save_found(found, found_file(folder))
    return SearchRequest(folder, str(found_file(folder)), 5, "m/1", DS)


def everybody(order: SearchRequest) -> list[dict[str, Any]]:
    from pipeline_tasks.recommend.search_results import open_found

    rows: list[dict[str, Any]] = global_results(
        open_found(order.found), open_offered_items(order.folder), order
    ).to_pylist()
    return rows


def own(order: SearchRequest, user: str, *queries: str) -> list[dict[str, Any]]:
    columns = {
        "user_key": [user],
        "queries": pa.array([list(queries)]),
        "vector": pa.array([user_vectors()[user].tolist()], pa.list_(pa.float32())),
    }
    [rows] = list(_reorderer(order)(iter([pa.RecordBatch.from_pydict(columns)])))
    found: list[dict[str, Any]] = rows.to_pylist()
    return found


def test_words_and_meaning_are_fused(order: SearchRequest) -> None:
    rows = [row for row in everybody(order) if row["query"] == "title i07"]
    # i07 has both words: first by words; by meaning i08 is first, then the others in order, i07 being the ninth.
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5]
    best = {row["item_id"]: row for row in rows}
    assert best["i07"]["reason"] == "matches “title i07”"
    assert best["i08"]["reason"] == "close to “title i07”"
    # Items without a category have the shorter text, in which "title" weighs more.
    by_words = ["i07", "i09", "i11", *(name for name in ITEMS if name not in ("i07", "i09", "i10", "i11"))]
    by_meaning = ["i08", *(name for name in ITEMS if name not in ("i08", "i10"))]
    for name, row in best.items():
        assert row["score"] == pytest.approx(1 / (61 + by_words.index(name)) + 1 / (61 + by_meaning.index(name)))
    assert all(row["item_id"] != "i10" for row in everybody(order))


def test_searchers_get_personal_results(order: SearchRequest) -> None:
    rows = own(order, "bob", "title", "title i07")
    assert {(row["query"], row["user_key"]) for row in rows} == {("title", "bob"), ("title i07", "bob")}
    scores = item_vectors().astype(np.float64) @ user_vectors()["bob"].astype(np.float64)
    shown = [place for place, name in enumerate(ITEMS) if name != "i10"]
    favorite = ITEMS[max(shown, key=lambda place: scores[place])]
    mine = {row["item_id"]: row for row in rows if row["query"] == "title"}
    assert mine[favorite]["reason"] == "matches “title” and what you like"
    assert [row["score"] for row in rows[:5]] == sorted((row["score"] for row in rows[:5]), reverse=True)


def test_opt_outs_apply_to_search(order: SearchRequest) -> None:
    assert all(row["item_id"] != "i07" for row in own(order, "ann", "title i07"))
    assert own(order, "eve", "title") == []


def test_suggestions_fit_their_contract() -> None:
    queries = pa.table({"query": ["tea"], "searches": [3]})
    rows = suggestions(queries, DS)
    assert rows.schema == arrow_schema(TABLES["search_suggestions"])
    assert rows.to_pylist() == [
        {"prefix": prefix, "rank": 1, "query": "tea", "searches": 3, "ds": DS} for prefix in ("t", "te", "tea")
    ]


def asked(number: int, user: str | None, query: str | None, kind: str = "search", **more: object) -> dict[str, Any]:
    when = datetime(2026, 11, 20, 12, tzinfo=UTC)
    row = {"event_id": number, "user_key": user, "event_type": kind, "query": query, "ts": when, "ds": DS}
    return dict.fromkeys(TABLES["events"].column_names) | row | {"arrived": DS} | more


def top(tmp_path: Path, rows: list[dict[str, Any]], **scoring: int) -> list[tuple[str, int]]:
    lake = Lake.open(Settings(home=tmp_path), "shop")
    table = pa.Table.from_pylist(rows, schema=arrow_schema(TABLES["events"]))
    lake.commit("events", [DS], lake.write_arrow("events", table))
    found = top_queries(lake, (DS, DS), ScoringSettings(**scoring))
    return list(zip(found["query"].to_pylist(), found["searches"].to_pylist(), strict=True))


def test_top_queries_are_those_of_several_users(tmp_path: Path) -> None:
    rows = [
        *(asked(n, user, "tea") for n, user in enumerate(["ann", "bob", "bob"])),
        *(asked(10 + n, None, "mug", session_id=f"s{n}") for n in range(2)),
        *(asked(20 + n, "ann", "my own secret") for n in range(9)),
        asked(30, "cleo", "tea", kind="click"),
        asked(31, "dan", None, kind="view"),
    ]
    assert top(tmp_path, rows) == [("tea", 3), ("mug", 2)]
    assert top(tmp_path, rows, search_queries=1) == [("tea", 3)]
    assert top(tmp_path, rows, search_queries=0) == []


def test_queries_are_found_without_search_events(tmp_path: Path) -> None:
    assert top(tmp_path, [asked(1, "ann", "tea", "click"), asked(2, "bob", "tea", "click")]) == [("tea", 2)]


def test_no_search_at_all_is_no_row(tmp_path: Path) -> None:
    lake = Lake.open(Settings(home=tmp_path), "shop")
    assert top_queries(lake, (date(2026, 11, 1), DS), ScoringSettings()).num_rows == 0
