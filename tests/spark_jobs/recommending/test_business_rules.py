from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.config.settings import Settings, settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.staging import Manifest
from spark_jobs.recommend_items import describe, limits
from spark_jobs.recommending.run_inputs import read_run_inputs
from spark_jobs.recommending.run_tables import stage_neighbors, stage_recommendations
from tests.spark_jobs.recommendation_rows import recommendations_of, stage_only_recommendations
from tests.spark_jobs.small_run import ITEMS, RUN_KEY, SCORING, SEGMENTS, item, rows_of, write

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
    lake = Lake.open(home, RUN_KEY.source)
    old = [item(name, number) | {"first_seen": date(2026, 11, 15)} for number, name in enumerate(ITEMS)]
    old[11]["first_seen"] = date(2026, 11, 16)
    write(lake, "items", old)
    yield tmp_path / "rules.toml"
    write(lake, "items", [item(name, number) for number, name in enumerate(ITEMS)])


def test_the_business_rules_are_applied(spark: SparkSession, rules: Path) -> None:
    # C1 is i01, i04, i07; with i03 and i06 these are 5 of 12. ann opted out of i08 and of C2: i02, i05, i08.
    inputs = read_run_inputs(spark, RUN_KEY, SCORING.model_copy(update={"shelf_rules": rules, "top_k": 12}))
    assert inputs.offered.allowed == 7
    assert inputs.excluded.describe() == {
        "items_blocked": "1",
        "items_blocked_category": "3",
        "items_out_of_stock": "1",
        "items_delisted": "0",
        "opt_outs": "4",
        "unknown_in_blocked_items": "1",
    }
    staged = Manifest(source="shop", ds=RUN_KEY.ds, step="recommend", tables=stage_recommendations(inputs).tables)
    beside = Manifest(source="shop", ds=RUN_KEY.ds, step="recommend", tables=stage_neighbors(inputs).tables)
    inputs.users.unpersist()
    shown = {user: {row["item_id"] for row in recommendations_of(staged, user)} for user in SEGMENTS}
    assert shown["ann"] == {"i00", "i09", "i10", "i11"}
    assert shown["bob"] == {"i00", "i02", "i05", "i08", "i09", "i10", "i11"}
    assert shown["eve"] == set(), "wants no recommendations"
    blocked = {"i01", "i03", "i04", "i06", "i07"}
    assert not blocked & {row["similar_item_id"] for row in rows_of(beside, "similar_items")}
    assert not blocked & {row["next_item_id"] for row in rows_of(beside, "next_items")}


def test_days_beyond_the_window_are_reported(spark: SparkSession, home: Settings) -> None:
    beyond = read_run_inputs(spark, RUN_KEY, SCORING.model_copy(update={"exclude_purchased_days": 90}))
    facts = describe(beyond)
    assert (facts["exclude_purchased_days"], facts["effective_exclude_purchased_days"]) == ("90", "30")
    assert limits(beyond) == [
        "exclude_purchased_days=90 reaches beyond the window of 30 days (2026-10-22 to 2026-11-20): purchases before "
        "2026-10-22 are not known; set window_days=90 or more to know them"
    ]
    within = read_run_inputs(spark, RUN_KEY, SCORING.model_copy(update={"exclude_purchased_days": 30}))
    assert (describe(within)["effective_exclude_purchased_days"], limits(within)) == ("30", [])


def test_new_items_get_their_slots_and_arms_their_settings(spark: SparkSession, rules: Path) -> None:
    staged = stage_only_recommendations(spark, shelf_rules=rules)
    arms = {user: {row["arm"] for row in recommendations_of(staged, user)} for user in ("ann", "bob", "dan")}
    assert set().union(*arms.values()) == {"control", "varied"}
    for user, names in arms.items():
        assert len(names) == 1
        reasons = {row["item_id"]: row["reason"] for row in recommendations_of(staged, user)}
        # One slot of four is for the only new item: the last.
        explored = [row["rank"] for row in recommendations_of(staged, user) if row["reason"].startswith("new in")]
        if names == {"control"} and user != "dan":
            assert explored == [len(reasons)]
        else:
            assert explored == []


def test_replenishable_items_may_come_again(spark: SparkSession, rules: Path) -> None:
    rules.write_text("[replenishable]\nrepurchase_share = 0.5\nmin_buyers = 2\n")
    inputs = read_run_inputs(spark, RUN_KEY, SCORING.model_copy(update={"shelf_rules": rules}))
    # No user bought the same item on two days.
    assert inputs.offered.replenishable == frozenset()
    rules.write_text('[replenishable]\nattribute = "consumable"\n')
    with pytest.raises(ValueError, match="No item has the attribute 'consumable'"):
        read_run_inputs(spark, RUN_KEY, SCORING.model_copy(update={"shelf_rules": rules}))
    lake = Lake.open(settings(), RUN_KEY.source)
    eaten = [item(name, number) | {"attributes": '{"consumable": true}'} for number, name in enumerate(ITEMS)]
    write(lake, "items", eaten)
    again = stage_only_recommendations(spark, shelf_rules=rules)
    assert len(recommendations_of(again, "cleo")) == 4, "bought all of it, and all of it may come again"
