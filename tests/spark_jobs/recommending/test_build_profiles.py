from datetime import UTC, date, datetime
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import spark_ddl
from spark_jobs.recommending.build_profiles import SAMPLE, event_weight, find_favorites, profile_users, sample_users

DS = date(2026, 11, 20)


def event(user: str | None, day: int, hour: int, kind: str, item: str | None = None, **more: object) -> dict[str, Any]:
    empty = dict.fromkeys(TABLES["events"].column_names)
    when = datetime(2026, 11, day, hour, tzinfo=UTC)
    return empty | {"user_key": user, "event_type": kind, "item_id": item, "ts": when, "ds": when.date()} | more


def item(name: str, category: str | None, brand: str | None, price: float | None) -> dict[str, Any]:
    empty = dict.fromkeys(TABLES["items"].column_names)
    return empty | {"item_id": name, "category": category, "brand": brand, "price": price, "ds": DS}


@pytest.fixture(scope="module")
def profiles(spark: SparkSession) -> dict[str, dict[str, Any]]:
    events = [
        event("ann", 20, 9, "purchase", "tea", price=4.0, quantity=3.0),
        event("ann", 18, 9, "view", "pot"),
        event("ann", 5, 21, "cart", "pot"),
        event("ann", 5, 21, "cancellation", "tea", price=4.0, quantity=1.0),
        event("bob", 1, 7, "purchase", "mug", price=9.0, quantity=1.0),
        event("cleo", 19, 23, "search", None, query="tea"),
        event("cleo", 19, 22, "impression", "pot"),
        event("dan", 6, 8, "view", "gift"),
        event("eve", 6, 8, "rating", "mug"),
        event(None, 20, 8, "view", "tea", session_id="s1"),
    ]
    items = [
        item("tea", "Kitchen > Tea", "Leaf", 4.0),
        item("pot", "Kitchen > Pots", "Clay", 30.0),
        item("mug", "Kitchen > Mugs", "Clay", 9.0),
        item("gift", None, None, None),
    ]
    rows = profile_users(
        spark.createDataFrame(events, spark_ddl(TABLES["events"])),
        spark.createDataFrame(items, spark_ddl(TABLES["items"])),
        spark.createDataFrame([("ann", 2), ("bob", 1)], "user_key string, cluster int"),
        DS,
        window_days=30,
        users=5,
    )
    assert rows.columns == TABLES["user_profiles"].column_names
    return {row["user_key"]: row.asDict() for row in rows.collect()}


def test_one_row_per_user(profiles: dict[str, dict[str, Any]]) -> None:
    assert sorted(profiles) == ["ann", "bob", "cleo", "dan", "eve"]


def test_recency_frequency_monetary(profiles: dict[str, dict[str, Any]]) -> None:
    ann = profiles["ann"]
    assert (ann["recency_days"], ann["frequency"], ann["monetary"], ann["events"]) == (0, 3, 8.0, 4)
    assert (profiles["bob"]["recency_days"], profiles["bob"]["monetary"]) == (19, 9.0)
    assert (profiles["dan"]["frequency"], profiles["dan"]["monetary"]) == (1, 0.0)


def test_favorites_are_weighted_by_event_type(profiles: dict[str, dict[str, Any]]) -> None:
    # tea: one purchase, 5; pot: a view and a cart, 4.
    assert profiles["ann"]["top_categories"] == ["Kitchen > Tea", "Kitchen > Pots"]
    assert profiles["ann"]["top_brands"] == ["Leaf", "Clay"]
    assert profiles["cleo"]["top_categories"] == []
    assert profiles["dan"]["top_brands"] == []


def test_price_band_is_a_third_of_all_prices(profiles: dict[str, dict[str, Any]]) -> None:
    # Touched: 4, 30, 30, 4, 9, 30, 9.
    bands = {name: row["price_band"] for name, row in profiles.items()}
    assert bands == {"ann": "middle", "bob": "low", "cleo": "high", "dan": None, "eve": "low"}


def test_preferred_hours_are_the_most_frequent_then_the_earlier(profiles: dict[str, dict[str, Any]]) -> None:
    assert profiles["ann"]["preferred_hours"] == [9, 21]
    assert profiles["cleo"]["preferred_hours"] == [22, 23]
    assert profiles["bob"]["preferred_hours"] == [7]


def test_interest_is_the_share_of_weighted_events(profiles: dict[str, dict[str, Any]]) -> None:
    assert profiles["ann"]["category_interest"] == [0.5556, 0.4444]
    assert profiles["ann"]["brand_interest"] == [0.5556, 0.4444]
    assert profiles["bob"]["category_interest"] == [1.0]
    assert profiles["cleo"]["category_interest"] == []


def test_rfm_is_in_fifths_of_all_users(profiles: dict[str, dict[str, Any]]) -> None:
    # Recency 0, 19, 1, 14, 14; active days 3, 1, 1, 1, 1; spent 8, 9, 0, 0, 0.
    rfm = {name: row["rfm"] for name, row in profiles.items()}
    assert rfm == {"ann": "554", "bob": "115", "cleo": "411", "dan": "311", "eve": "311"}


def test_only_users_with_a_vector_have_a_cluster(profiles: dict[str, dict[str, Any]]) -> None:
    assert {name: row["cluster"] for name, row in profiles.items()} == {
        "ann": 2,
        "bob": 1,
        "cleo": None,
        "dan": None,
        "eve": None,
    }


def test_segments(profiles: dict[str, dict[str, Any]]) -> None:
    segments = {name: row["segment"] for name, row in profiles.items()}
    assert segments == {"ann": "loyal", "bob": "lapsed", "cleo": "new", "dan": "browser", "eve": "buyer"}


def test_at_most_five_favorites_in_a_fixed_order(spark: SparkSession) -> None:
    rows = [("u", name, 1) for name in "gfedcba"] + [("u", "z", 9), ("u", None, 50)]
    touched: DataFrame = spark.createDataFrame(rows, "user_key string, brand string, weight int")
    found = find_favorites(touched, "brand", "top", "share").collect()[0]
    assert found["top"] == ["z", "a", "b", "c", "d"]
    assert found["share"] == [0.5625, 0.0625, 0.0625, 0.0625, 0.0625]


def test_unknown_event_types_weigh_nothing(spark: SparkSession) -> None:
    kinds = spark.createDataFrame([("purchase",), ("impression",), ("teleport",)], "event_type string")
    assert [row[0] for row in kinds.select(event_weight()).collect()] == [5, 0, 0]


def test_percentiles_of_a_large_shop_are_those_of_the_same_sample_every_time(spark: SparkSession) -> None:
    users = spark.range(3_000).selectExpr("cast(id AS string) AS user_key")
    sampled = sample_users(users, 3 * SAMPLE)
    assert 900 < sampled.count() < 1_100
    assert sampled.exceptAll(sample_users(users.repartition(7), 3 * SAMPLE)).isEmpty()
    assert sample_users(users, SAMPLE).count() == 3_000
