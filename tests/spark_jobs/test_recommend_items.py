import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.contracts import TABLES
from pipeline_tasks.lake import Lake
from pipeline_tasks.night import Night
from pipeline_tasks.schemas import arrow_schema
from pipeline_tasks.settings import ScoringSettings, Settings, settings
from pipeline_tasks.staging import Manifest, night_folder
from pipeline_tasks.top_k import Vectors
from spark_jobs.recommend_items import build

NIGHT = Night("shop", date(2026, 11, 20))
ITEMS = [f"i{n:02d}" for n in range(12)]
SCORING = ScoringSettings(top_k=4, fallback_k=6, similar_k=3, exclude_purchased_days=5, block_users=2)


def micros(day: int) -> int:
    return int(datetime(2026, 11, day, 12, tzinfo=UTC).timestamp()) * 1_000_000


def history(user: str | None, *events: tuple[str, str, int]) -> dict[str, Any]:
    items, kinds, days = zip(*events, strict=True)
    times = [micros(day) for day in days]
    key = user or "session:s1"
    return {"sequence_key": key, "user_key": user, "item_ids": items, "event_types": kinds, "timestamps": times}


SEQUENCES = [
    history("ann", ("i00", "view", 18), ("i01", "purchase", 19), ("i02", "purchase", 3)),
    history("bob", ("i03", "purchase", 20)),
    history("cleo", *((name, "purchase", 20) for name in ITEMS)),
    history("dan", *((name, "purchase", 20) for name in ITEMS[2:])),
    history("eve", ("i02", "view", 1)),
    history(None, ("i05", "view", 20), ("i05", "view", 20), ("i04", "impression", 20)),
]
SEGMENTS = {"ann": "loyal", "bob": "buyer", "cleo": "buyer", "dan": "loyal", "eve": "lapsed"}


def profile(user: str, segment: str) -> dict[str, Any]:
    numbers = {"recency_days": 0, "frequency": 1, "monetary": 1.0, "events": 1, "preferred_hour": 9}
    return {"user_key": user, "segment": segment, "top_categories": [], "top_brands": [], **numbers}


def item(name: str, number: int) -> dict[str, Any]:
    category = f"Kitchen > C{number % 3}" if number < 9 else None
    return {"item_id": name, "title": f"Title {name}", "category": category, "first_seen": NIGHT.ds}


def write(lake: Lake, name: str, rows: list[dict[str, Any]]) -> None:
    empty = dict.fromkeys(TABLES[name].column_names) | {"ds": NIGHT.ds}
    table = pa.Table.from_pylist([empty | row for row in rows], schema=arrow_schema(TABLES[name]))
    lake.commit(name, [NIGHT.ds], lake.write_arrow(name, table))


def write_vectors(folder: Path, users: dict[str, Vectors], items: Vectors) -> None:
    (folder / "users").mkdir(parents=True, exist_ok=True)
    np.save(folder / "items.npy", items)
    pq.write_table(pa.table({"item_id": ITEMS}), folder / "item_ids.parquet")
    vectors = pa.array([vector.tolist() for vector in users.values()], pa.list_(pa.float32()))
    pq.write_table(pa.table({"user_key": list(users), "vector": vectors}), folder / "users" / "part-00000.parquet")
    meta = {"model_version": "nightshelf-shop/7", "dimension": 5, "content_dimension": 4, "users": len(users)}
    (folder / "meta.json").write_text(json.dumps(meta))


def user_vectors() -> dict[str, Vectors]:
    rng = np.random.default_rng(11)
    return {user: rng.standard_normal(5).astype(np.float32) for user in SEGMENTS}


def item_vectors() -> Vectors:
    vectors = np.random.default_rng(12).standard_normal((len(ITEMS), 5)).astype(np.float32)
    # Twins of ann's first item: the nearest and the reason are known.
    vectors[6, :4] = vectors[0, :4] * 2
    return vectors


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NIGHTSHELF_HOME", str(tmp_path_factory.mktemp("recommend")))
        settings.cache_clear()
        lake = Lake.open(settings(), NIGHT.source)
        write(lake, "sequences", SEQUENCES)
        write(lake, "items", [item(name, number) for number, name in enumerate(ITEMS)])
        write(lake, "user_profiles", [profile(user, segment) for user, segment in SEGMENTS.items()])
        write_vectors(night_folder(settings(), NIGHT) / "vectors", user_vectors(), item_vectors())
        yield settings()
    settings.cache_clear()


@pytest.fixture(scope="module")
def manifest(spark: SparkSession, home: Settings) -> Manifest:
    return build(spark, NIGHT, SCORING)


def rows_of(manifest: Manifest, table: str) -> list[dict[str, Any]]:
    tables = [pq.read_table(file, partitioning=None) for file in manifest.tables[table].files]
    rows: list[dict[str, Any]] = pa.concat_tables(tables).to_pylist()
    return sorted(rows, key=lambda row: [str(row[name]).rjust(20) for name in TABLES[table].key])


def shelf_of(manifest: Manifest, user: str) -> list[dict[str, Any]]:
    return [row for row in rows_of(manifest, "recommendations") if row["user_key"] == user]


def best_items(user: str, allowed: list[str], k: int) -> list[tuple[str, float]]:
    vector, matrix = user_vectors()[user].astype(np.float64), item_vectors().astype(np.float64)
    scores = {name: float(vector @ matrix[ITEMS.index(name)]) for name in allowed}
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))[:k]


def test_shelf_is_the_models_best_without_recent_purchases(manifest: Manifest) -> None:
    # i01 was bought yesterday; i02 longer than 5 days ago, so it may come again.
    allowed = [name for name in ITEMS if name != "i01"]
    shelf = shelf_of(manifest, "ann")
    assert [row["item_id"] for row in shelf] == [name for name, _ in best_items("ann", allowed, 4)]
    assert [row["rank"] for row in shelf] == [1, 2, 3, 4]
    expected = [score for _, score in best_items("ann", allowed, 4)]
    assert np.allclose([row["score"] for row in shelf], expected, rtol=0, atol=1e-12)
    assert {(row["arm"], row["model_version"], row["ds"]) for row in shelf} == {
        ("control", "nightshelf-shop/7", NIGHT.ds)
    }


def test_every_known_shopper_has_k_rows_unless_fewer_items_are_allowed(manifest: Manifest) -> None:
    counts = {user: len(shelf_of(manifest, user)) for user in SEGMENTS}
    assert counts == {"ann": 4, "bob": 4, "cleo": 0, "dan": 2, "eve": 4}
    assert len(rows_of(manifest, "recommendations")) == 14


def test_reasons_come_from_the_shoppers_own_history(spark: SparkSession, home: Settings) -> None:
    everything = SCORING.model_copy(update={"top_k": 12, "exclude_purchased_days": 0})
    shelf = shelf_of(build(spark, NIGHT, everything), "ann")
    reasons = {row["item_id"]: row["reason"] for row in shelf}
    assert reasons["i06"] == "because you looked at Title i00"
    assert reasons["i00"] == "because you looked at it before"
    assert reasons["i01"] == "because you bought it before"
    assert all(reason.startswith(("because you ", "popular ")) for reason in reasons.values())


def test_similar_items_are_the_nearest_by_content(manifest: Manifest) -> None:
    rows = rows_of(manifest, "similar_items")
    assert len(rows) == len(ITEMS) * 3
    assert all(row["item_id"] != row["similar_item_id"] for row in rows)
    first = next(row for row in rows if row["item_id"] == "i00" and row["rank"] == 1)
    assert first["similar_item_id"] == "i06"
    assert first["score"] == pytest.approx(1.0, abs=1e-6)


def test_fallback_serves_every_segment_and_everyone(manifest: Manifest) -> None:
    rows = rows_of(manifest, "fallback_recommendations")
    shelves = {s: [r for r in rows if r["segment"] == s] for s in (*SEGMENTS.values(), "everyone")}
    assert {segment: len(shelf) for segment, shelf in shelves.items()} == dict.fromkeys(shelves, 6)
    # Recent events of everyone: i05 4 (two anonymous views), i03 3, all others 2, i02 more earlier; impressions
    # do not count.
    assert [row["item_id"] for row in shelves["everyone"][:3]] == ["i05", "i03", "i02"]
    assert shelves["everyone"][0]["score"] == pytest.approx(4 / 27)
    # lapsed did nothing lately: its shelf is topped up with what everyone turned to, at score 0.
    assert [row["item_id"] for row in shelves["lapsed"]] == [row["item_id"] for row in shelves["everyone"]]
    assert [row["score"] for row in shelves["lapsed"]] == [0] * 6
    assert [row["item_id"] for row in shelves["loyal"]][:2] == ["i05", "i03"]
    assert shelves["loyal"][0]["score"] == pytest.approx(1 / 12)
    assert shelves["everyone"][0]["reason"] == "popular in C2"


def test_the_same_night_again_is_the_same_to_the_bit(spark: SparkSession, home: Settings, manifest: Manifest) -> None:
    again = build(spark, NIGHT, SCORING.model_copy(update={"block_users": 1}))
    for table in manifest.tables:
        assert rows_of(again, table) == rows_of(manifest, table)


def test_items_that_left_the_catalog_are_not_recommended(spark: SparkSession, home: Settings) -> None:
    lake = Lake.open(home, NIGHT.source)
    write(lake, "items", [item(name, number) for number, name in enumerate(ITEMS) if name != "i05"])
    try:
        smaller = build(spark, NIGHT, SCORING)
    finally:
        write(lake, "items", [item(name, number) for number, name in enumerate(ITEMS)])
    assert (smaller.facts["scored_items"], smaller.facts["lost_items"]) == ("11", "1")
    for table in smaller.tables:
        assert all("i05" not in (row["item_id"], row.get("similar_item_id")) for row in rows_of(smaller, table))


@pytest.mark.parametrize(
    ("users", "items", "message"),
    [
        ({"ann": np.full(5, np.nan, np.float32)}, item_vectors(), "1 of 1 user vectors hold NaN"),
        ({"ann": np.ones(3, np.float32)}, item_vectors(), r"user vectors in .* are \[3\] wide, items 5"),
        ({"ann": np.ones(5, np.float32)}, item_vectors()[:, :4], "items.npy .* is .12, 4., .* width 5"),
    ],
)
def test_bad_vectors_end_in_one_clear_error(
    spark: SparkSession, home: Settings, users: dict[str, Vectors], items: Vectors, message: str
) -> None:
    folder = night_folder(home, NIGHT) / "vectors"
    write_vectors(folder, users, items)
    try:
        with pytest.raises(ValueError, match=message):
            build(spark, NIGHT, SCORING)
    finally:
        write_vectors(folder, user_vectors(), item_vectors())


def test_missing_vectors_name_the_remedy(spark: SparkSession, home: Settings) -> None:
    with pytest.raises(FileNotFoundError, match="run embed_shelf"):
        build(spark, Night("shop", date(2026, 11, 19)), SCORING)
