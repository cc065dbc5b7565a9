import numpy as np
import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.staging import Manifest, staging_folder, write_manifest
from spark_jobs.recommend_items import build
from spark_jobs.recommending.fallback_recommendations import build_fallback
from spark_jobs.recommending.run_inputs import read_run_inputs
from spark_jobs.recommending.run_tables import stage_neighbors
from spark_jobs.validate_tables import validate_step
from tests.spark_jobs.recommendation_rows import by_score, recommendations_of, stage_only_recommendations
from tests.spark_jobs.small_run import (
    ITEMS,
    RUN_KEY,
    SCORING,
    SEGMENTS,
    item_vectors,
    rows_of,
    user_vectors,
    write_vectors,
)


@pytest.fixture(scope="module")
def manifest(spark: SparkSession, home: Settings) -> Manifest:
    return build(spark, RUN_KEY, by_score(home))


def best_items(user: str, allowed: list[str], k: int) -> list[tuple[str, float]]:
    vector, matrix = user_vectors()[user].astype(np.float64), item_vectors().astype(np.float64)
    scores = {name: float(vector @ matrix[ITEMS.index(name)]) for name in allowed}
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))[:k]


def test_recommendations_are_the_best_items_without_recent_purchases(manifest: Manifest) -> None:
    # i01 was bought yesterday; i02 longer than 5 days ago, so it may come again.
    allowed = [name for name in ITEMS if name != "i01"]
    rows = recommendations_of(manifest, "ann")
    assert [row["item_id"] for row in rows] == [name for name, _ in best_items("ann", allowed, 4)]
    assert [row["rank"] for row in rows] == [1, 2, 3, 4]
    expected = [score for _, score in best_items("ann", allowed, 4)]
    assert np.allclose([row["score"] for row in rows], expected, rtol=0, atol=1e-12)
    assert {(row["arm"], row["model_version"], row["ds"]) for row in rows} == {
        ("control", "nightshelf-shop/7", RUN_KEY.ds)
    }


def test_repeat_scores_are_added_to_items_of_the_history(spark: SparkSession, home: Settings) -> None:
    vectors = staging_folder(home, RUN_KEY) / "vectors"
    # i01 was bought yesterday, and stays away for all its 500.
    write_vectors(vectors, user_vectors(), item_vectors(), {"ann": {1: 500.0, 2: 100.0, 0: -100.0}})
    try:
        rows = recommendations_of(
            stage_only_recommendations(spark, top_k=11, shelf_rules=home.home / "by_score.toml"), "ann"
        )
    finally:
        write_vectors(vectors, user_vectors(), item_vectors())
    exact = dict(best_items("ann", ITEMS, len(ITEMS)))
    assert (rows[0]["item_id"], rows[-1]["item_id"]) == ("i02", "i00")
    assert rows[0]["score"] == pytest.approx(exact["i02"] + 100)
    between = [name for name, _ in best_items("ann", ITEMS, len(ITEMS)) if name not in {"i00", "i01", "i02"}]
    assert [row["item_id"] for row in rows[1:-1]] == between


def test_a_model_that_matches_additively_is_ranked_by_its_own_score(spark: SparkSession, home: Settings) -> None:
    vectors, weights = staging_folder(home, RUN_KEY) / "vectors", (1.5, -2.0, 0.5)
    write_vectors(vectors, user_vectors(), item_vectors(), {"ann": {2: 0.25}}, weights)
    try:
        rows = recommendations_of(
            stage_only_recommendations(spark, top_k=11, shelf_rules=home.home / "by_score.toml"), "ann"
        )
    finally:
        write_vectors(vectors, user_vectors(), item_vectors())
    user, matrix = user_vectors()["ann"].astype(np.float64), item_vectors().astype(np.float64)
    scores = np.tanh(user[:3] + matrix[:, :3]) @ np.array(weights) + matrix[:, 3:] @ user[3:]
    scores[2] += 0.25
    expected = {name: score for name, score in zip(ITEMS, scores.tolist(), strict=True) if name != "i01"}
    assert [row["item_id"] for row in rows] == sorted(expected, key=lambda name: -expected[name])
    assert [row["score"] for row in rows] == pytest.approx(sorted(expected.values(), reverse=True))


def test_every_user_has_k_rows_unless_fewer_items_are_allowed(manifest: Manifest) -> None:
    counts = {user: len(recommendations_of(manifest, user)) for user in SEGMENTS}
    assert counts == {"ann": 4, "bob": 4, "cleo": 0, "dan": 2, "eve": 4}
    assert len(rows_of(manifest, "recommendations")) == 14


def test_reasons_come_from_the_users_own_history(spark: SparkSession, home: Settings) -> None:
    rows = recommendations_of(stage_only_recommendations(spark, top_k=12, exclude_purchased_days=0), "ann")
    reasons = {row["item_id"]: row["reason"] for row in rows}
    assert reasons["i06"] == "because you looked at Title i00"
    assert reasons["i00"] == "because you looked at it before"
    assert reasons["i01"] == "because you bought it before"
    assert all(reason.startswith(("because you ", "more from ", "chosen for ")) for reason in reasons.values())


def test_similar_items_are_the_nearest_by_content(manifest: Manifest) -> None:
    rows = rows_of(manifest, "similar_items")
    assert len(rows) == len(ITEMS) * 3
    assert all(row["item_id"] != row["similar_item_id"] for row in rows)
    first = next(row for row in rows if row["item_id"] == "i00" and row["rank"] == 1)
    assert first["similar_item_id"] == "i06"
    assert first["score"] == pytest.approx(1.0, abs=1e-6)


def test_next_items_are_the_models_order_for_a_visitor_of_the_item(manifest: Manifest) -> None:
    rows = rows_of(manifest, "next_items")
    assert len(rows) == len(ITEMS) * 3
    matrix = item_vectors().astype(np.float64)
    for place, name in enumerate(ITEMS):
        scores = matrix @ matrix[::-1][place]
        *best, (left_out, _) = sorted((-scores[other], other) for other in range(len(ITEMS)) if other != place)[:4]
        found = [row for row in rows if row["item_id"] == name]
        assert [row["next_item_id"] for row in found] == [ITEMS[other] for _, other in best]
        assert np.allclose([row["score"] for row in found], [left_out - score for score, _ in best], rtol=0, atol=1e-12)


def test_next_items_are_empty_with_next_k_zero(spark: SparkSession, home: Settings) -> None:
    inputs = read_run_inputs(spark, RUN_KEY, SCORING.model_copy(update={"next_k": 0}))
    assert stage_neighbors(inputs).tables["next_items"].rows == 0


def test_fallback_serves_every_segment_and_everyone(manifest: Manifest) -> None:
    rows = rows_of(manifest, "fallback_recommendations")
    lists = {
        s: [r for r in rows if r["segment"] == s] for s in ("lapsed", "new", "loyal", "buyer", "browser", "everyone")
    }
    assert {segment: len(rows) for segment, rows in lists.items()} == dict.fromkeys(lists, 6)
    # Recent events of everyone: i05 4 (two anonymous views), i03 3, all others 2, i02 more earlier.
    assert [row["item_id"] for row in lists["everyone"][:3]] == ["i05", "i03", "i02"]
    assert lists["everyone"][0]["score"] == pytest.approx(4 / 27)
    # lapsed has no recent events: its list is filled with the popular items, at score 0.
    assert [row["item_id"] for row in lists["lapsed"]] == [row["item_id"] for row in lists["everyone"]]
    assert [row["score"] for row in lists["lapsed"]] == [0] * 6
    assert [row["item_id"] for row in lists["loyal"]][:2] == ["i00", "i01"]
    assert lists["loyal"][0]["score"] == pytest.approx(1 / 2)
    assert lists["new"][0]["score"] == pytest.approx(3 / 23)
    assert lists["everyone"][0]["reason"] == "popular in C2"
    # No user is a buyer or browser on this day.
    for empty in ("buyer", "browser"):
        assert [row["item_id"] for row in lists[empty]] == [row["item_id"] for row in lists["everyone"]]


@pytest.mark.usefixtures("home")
def test_fallback_is_filled_with_items_without_events(spark: SparkSession) -> None:
    inputs = read_run_inputs(spark, RUN_KEY, SCORING)
    few = inputs.sequences.where("user_key = 'bob'")
    segments = spark.createDataFrame([("bob", "new")], "user_key string, segment string")
    rows = build_fallback(few, segments, inputs.items, 5, inputs.end - 1, "m/1", RUN_KEY.ds).collect()
    everyone = sorted((row for row in rows if row["segment"] == "everyone"), key=lambda row: row["rank"])
    assert [row["item_id"] for row in everyone] == ["i03", "i00", "i01", "i02", "i04"]
    assert [row["reason"] for row in everyone[:2]] == ["popular in C0", "waiting to be discovered in C0"]
    assert len(rows) == 6 * 5


def test_the_facts_name_the_first_pass(manifest: Manifest) -> None:
    assert manifest.facts["first_pass"].startswith("float32: ")
    assert "pairs of users and items a process" in manifest.facts["first_pass"]


def test_recent_searchers_have_personal_results(manifest: Manifest) -> None:
    rows = rows_of(manifest, "search_results")
    asked = {(row["query"], row["user_key"]) for row in rows}
    # ann's "title" was asked 18 days ago.
    own = {("title i07", "ann"), ("title i07", "bob"), ("title", "bob")}
    assert asked == own | {("title", None), ("title i07", None)}
    assert len(rows) == 5 * SCORING.search_k
    prefixes = {row["prefix"] for row in rows_of(manifest, "search_suggestions")}
    assert {"t", "title", "title i", "title i07"} <= prefixes
    assert "title " not in prefixes


def test_profiles_audiences_and_demand_cover_all_users_and_items(manifest: Manifest) -> None:
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


def test_a_repeated_run_gives_identical_tables_that_pass_the_gate(
    spark: SparkSession, home: Settings, manifest: Manifest
) -> None:
    again = build(spark, RUN_KEY, by_score(home).model_copy(update={"block_users": 1}))
    for table in manifest.tables:
        assert rows_of(again, table) == rows_of(manifest, table)
    # By its real facts, which the gate's own tests only assume; the tables whose lengths they decide.
    held = ("user_profiles", "fallback_recommendations", "similar_items", "next_items")
    write_manifest(home, again.model_copy(update={"tables": {name: again.tables[name] for name in held}}))
    report = validate_step(spark, home, RUN_KEY, "recommend")
    assert report.passed, report.findings
