from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.lake import Lake
from pipeline_tasks.night import Night
from pipeline_tasks.settings import ScoringSettings, Settings, settings
from pipeline_tasks.staging import Manifest, night_folder
from pipeline_tasks.top_k import Vectors
from spark_jobs.night_inputs import read_night_inputs
from spark_jobs.night_tables import stage_recommendations, stage_similar
from spark_jobs.recommend_items import build
from tests.spark_jobs.one_night import (
    ITEMS,
    NIGHT,
    SCORING,
    SEGMENTS,
    item,
    item_vectors,
    prepare,
    rows_of,
    user_vectors,
    write,
    write_vectors,
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NIGHTSHELF_HOME", str(tmp_path_factory.mktemp("recommend")))
        settings.cache_clear()
        prepare(settings())
        (settings().home / "by_score.toml").write_text("[shelf]\nmmr_lambda = 1\n")
        yield settings()
    settings.cache_clear()


@pytest.fixture(scope="module")
def manifest(spark: SparkSession, home: Settings) -> Manifest:
    return build(spark, NIGHT, by_score(home))


def by_score(home: Settings) -> ScoringSettings:
    """Shelves in the model's own order."""
    return SCORING.model_copy(update={"shelf_rules": home.home / "by_score.toml"})


def shelves_only(spark: SparkSession, **scoring: object) -> Manifest:
    """Stage recommendations alone, with other settings."""
    inputs = read_night_inputs(spark, NIGHT, SCORING.model_copy(update=scoring))
    try:
        staged = stage_recommendations(inputs)
    finally:
        inputs.shoppers.unpersist()
    return Manifest(source="shop", ds=NIGHT.ds, step="recommend", tables=staged.tables, facts=staged.facts)


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


def test_own_items_score_as_much_more_as_the_model_says(spark: SparkSession, home: Settings) -> None:
    vectors = night_folder(home, NIGHT) / "vectors"
    # i01 was bought yesterday, and stays away for all its 500.
    write_vectors(vectors, user_vectors(), item_vectors(), {"ann": {1: 500.0, 2: 100.0, 0: -100.0}})
    try:
        shelf = shelf_of(shelves_only(spark, top_k=11, shelf_rules=home.home / "by_score.toml"), "ann")
    finally:
        write_vectors(vectors, user_vectors(), item_vectors())
    exact = dict(best_items("ann", ITEMS, len(ITEMS)))
    assert (shelf[0]["item_id"], shelf[-1]["item_id"]) == ("i02", "i00")
    assert shelf[0]["score"] == pytest.approx(exact["i02"] + 100)
    between = [name for name, _ in best_items("ann", ITEMS, len(ITEMS)) if name not in {"i00", "i01", "i02"}]
    assert [row["item_id"] for row in shelf[1:-1]] == between


def test_a_model_that_matches_additively_is_ranked_by_its_own_score(spark: SparkSession, home: Settings) -> None:
    vectors, weights = night_folder(home, NIGHT) / "vectors", (1.5, -2.0, 0.5)
    write_vectors(vectors, user_vectors(), item_vectors(), {"ann": {2: 0.25}}, weights)
    try:
        shelf = shelf_of(shelves_only(spark, top_k=11, shelf_rules=home.home / "by_score.toml"), "ann")
    finally:
        write_vectors(vectors, user_vectors(), item_vectors())
    user, matrix = user_vectors()["ann"].astype(np.float64), item_vectors().astype(np.float64)
    scores = np.tanh(user[:3] + matrix[:, :3]) @ np.array(weights) + matrix[:, 3:] @ user[3:]
    scores[2] += 0.25
    expected = {name: score for name, score in zip(ITEMS, scores.tolist(), strict=True) if name != "i01"}
    assert [row["item_id"] for row in shelf] == sorted(expected, key=lambda name: -expected[name])
    assert [row["score"] for row in shelf] == pytest.approx(sorted(expected.values(), reverse=True))


def test_every_known_shopper_has_k_rows_unless_fewer_items_are_allowed(manifest: Manifest) -> None:
    counts = {user: len(shelf_of(manifest, user)) for user in SEGMENTS}
    assert counts == {"ann": 4, "bob": 4, "cleo": 0, "dan": 2, "eve": 4}
    assert len(rows_of(manifest, "recommendations")) == 14


def test_reasons_come_from_the_shoppers_own_history(spark: SparkSession, home: Settings) -> None:
    shelf = shelf_of(shelves_only(spark, top_k=12, exclude_purchased_days=0), "ann")
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
    assert [row["item_id"] for row in shelves["loyal"]][:2] == ["i00", "i01"]
    assert shelves["loyal"][0]["score"] == pytest.approx(1 / 2)
    assert shelves["new"][0]["score"] == pytest.approx(3 / 23)
    assert shelves["everyone"][0]["reason"] == "popular in C2"


def test_who_asked_this_week_has_an_order_of_their_own(manifest: Manifest) -> None:
    rows = rows_of(manifest, "search_results")
    asked = {(row["query"], row["user_key"]) for row in rows}
    # ann's "title" was asked 18 days ago.
    own = {("title i07", "ann"), ("title i07", "bob"), ("title", "bob")}
    assert asked == own | {("title", None), ("title i07", None)}
    assert len(rows) == 5 * SCORING.search_k
    prefixes = {row["prefix"] for row in rows_of(manifest, "search_suggestions")}
    assert {"t", "title", "title i", "title i07"} <= prefixes
    assert "title " not in prefixes


def test_profiles_audiences_and_demand_cover_everybody_and_everything(manifest: Manifest) -> None:
    profiles = {row["user_key"]: row for row in rows_of(manifest, "user_profiles")}
    assert {user: row["segment"] for user, row in profiles.items()} == SEGMENTS
    assert {row["cluster"] for row in profiles.values()} == {1, 2}
    audiences = rows_of(manifest, "audiences")
    assert {row["target"] for row in audiences if row["target_type"] == "item"} == set(ITEMS)
    bought = {("ann", "i01"), ("bob", "i03")}
    assert not bought & {(row["user_key"], row["target"]) for row in audiences}
    demand = rows_of(manifest, "demand_outlook")
    assert len(demand) == 2 * len(ITEMS)
    # 25 purchases in 30 days, all but one of them in the last two.
    assert all(row["low"] <= row["expected"] <= row["high"] for row in demand)
    # ann and eve alone were there a week ago: enough to learn from, not to be measured.
    assert manifest.facts["intent"] == "20 days of history, 21 with purchases are needed to measure it"
    intent = {(row["user_key"], row["category"]): row["probability"] for row in rows_of(manifest, "purchase_intent")}
    assert set(intent) == {(user, "any") for user in SEGMENTS}
    assert intent["ann", "any"] > intent["eve", "any"]


def test_the_same_night_again_is_the_same_to_the_bit(spark: SparkSession, home: Settings, manifest: Manifest) -> None:
    again = build(spark, NIGHT, by_score(home).model_copy(update={"block_users": 1}))
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
        assert "i05" not in {
            value for row in rows_of(smaller, table) for value in row.values() if isinstance(value, str)
        }


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
            read_night_inputs(spark, NIGHT, SCORING)
    finally:
        write_vectors(folder, user_vectors(), item_vectors())


def test_missing_vectors_name_the_remedy(spark: SparkSession, home: Settings) -> None:
    with pytest.raises(FileNotFoundError, match="run embed_shelf"):
        build(spark, Night("shop", date(2026, 11, 19)), SCORING)


def test_more_slots_than_items_give_every_item_once(spark: SparkSession, home: Settings) -> None:
    staged = shelves_only(spark, top_k=50)
    assert len(shelf_of(staged, "eve")) == len(ITEMS)
    # cleo bought everything: nobody's shelf is 50 long, hers is empty.
    assert staged.facts == {"shoppers_without_a_shelf": "1", "shoppers_with_a_shorter_shelf": "4"}


RULES = """
[exclude]
blocked_items = ["i03", "gone"]
blocked_categories = ["Kitchen > C1"]
stock_file = "stock.csv"
opt_outs_file = "opt_outs.csv"

[shelf]
exploration_share = 0.25
new_item_days = 5

[[arms]]
name = "control"
share = 0.5

[[arms]]
name = "varied"
share = 0.5
mmr_lambda = 0.5
exploration_share = 0
"""


@pytest.fixture
def rules(home: Settings, tmp_path: Path) -> Iterator[Path]:
    """Rules of the shop; i11 alone is new."""
    (tmp_path / "stock.csv").write_text("item_id,stock\ni06,0\ni00,3\n")
    (tmp_path / "opt_outs.csv").write_text("user_key,item_id,category\neve,,\nann,i08,\nann,,Kitchen > C2\n")
    (tmp_path / "rules.toml").write_text(RULES)
    lake = Lake.open(home, NIGHT.source)
    old = [item(name, number) | {"first_seen": date(2026, 11, 15)} for number, name in enumerate(ITEMS)]
    old[11]["first_seen"] = date(2026, 11, 16)
    write(lake, "items", old)
    yield tmp_path / "rules.toml"
    write(lake, "items", [item(name, number) for number, name in enumerate(ITEMS)])


def test_the_shops_rules_hold(spark: SparkSession, rules: Path) -> None:
    # C1 is i01, i04, i07; with i03 and i06 these are 5 of 12. ann opted out of i08 and of C2: i02, i05, i08.
    inputs = read_night_inputs(spark, NIGHT, SCORING.model_copy(update={"shelf_rules": rules, "top_k": 12}))
    assert inputs.shelf.allowed == 7
    assert inputs.excluded.describe() == {
        "items_blocked": "1",
        "items_blocked_category": "3",
        "items_out_of_stock": "1",
        "opt_outs": "4",
        "unknown_in_blocked_items": "1",
    }
    staged = Manifest(source="shop", ds=NIGHT.ds, step="recommend", tables=stage_recommendations(inputs).tables)
    similar = Manifest(source="shop", ds=NIGHT.ds, step="recommend", tables=stage_similar(inputs).tables)
    inputs.shoppers.unpersist()
    shown = {user: {row["item_id"] for row in shelf_of(staged, user)} for user in SEGMENTS}
    assert shown["ann"] == {"i00", "i09", "i10", "i11"}
    assert shown["bob"] == {"i00", "i02", "i05", "i08", "i09", "i10", "i11"}
    assert shown["eve"] == set(), "wants no shelf"
    blocked = {"i01", "i03", "i04", "i06", "i07"}
    assert not blocked & {row["similar_item_id"] for row in rows_of(similar, "similar_items")}


def test_new_items_get_their_slots_and_arms_their_settings(spark: SparkSession, rules: Path) -> None:
    staged = shelves_only(spark, shelf_rules=rules)
    arms = {user: {row["arm"] for row in shelf_of(staged, user)} for user in ("ann", "bob", "dan")}
    assert set().union(*arms.values()) == {"control", "varied"}
    for user, names in arms.items():
        assert len(names) == 1
        reasons = {row["item_id"]: row["reason"] for row in shelf_of(staged, user)}
        # One slot of four is for the only new item: the last.
        explored = [row["rank"] for row in shelf_of(staged, user) if row["reason"].startswith("new in")]
        if names == {"control"} and user != "dan":
            assert explored == [len(reasons)]
        else:
            assert explored == []


def test_replenishable_items_may_come_again(spark: SparkSession, rules: Path) -> None:
    rules.write_text("[replenishable]\nrepurchase_share = 0.5\nmin_buyers = 2\n")
    inputs = read_night_inputs(spark, NIGHT, SCORING.model_copy(update={"shelf_rules": rules}))
    # Nobody bought the same item on two days.
    assert inputs.shelf.replenishable == frozenset()
    rules.write_text('[replenishable]\nattribute = "consumable"\n')
    with pytest.raises(ValueError, match="No item has the attribute 'consumable'"):
        read_night_inputs(spark, NIGHT, SCORING.model_copy(update={"shelf_rules": rules}))
    lake = Lake.open(settings(), NIGHT.source)
    eaten = [item(name, number) | {"attributes": '{"consumable": true}'} for number, name in enumerate(ITEMS)]
    write(lake, "items", eaten)
    again = shelves_only(spark, shelf_rules=rules)
    assert len(shelf_of(again, "cleo")) == 4, "bought all of it, and all of it may come again"
