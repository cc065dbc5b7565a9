"""Purchase intent and demand as tables, without Spark, and the two counts that Spark computes for them."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.config.business_rules import ReplenishRules
from pipeline_tasks.models.intent_model import IntentModel, Logistic
from pipeline_tasks.recommend.excluded_items import OPT_OUTS, Excluded
from pipeline_tasks.recommend.prepare_offered_items import prepare_offered_items
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema, spark_ddl
from spark_jobs.recommending.fallback_recommendations import days_before_end
from spark_jobs.recommending.find_replenishable import frequently_repurchased
from spark_jobs.recommending.forecast_demand import build_outlook, daily_purchases, read_sales, window_until
from spark_jobs.recommending.predict_intent import _predictor
from tests.spark_jobs.small_run import ITEMS, RUN_KEY, history, item, item_vectors, user_vectors, write_vectors

DS = RUN_KEY.ds


def test_intent_has_a_row_per_user_and_per_category_of_their_events(tmp_path: Path) -> None:
    write_vectors(tmp_path / "vectors", user_vectors(), item_vectors())
    rows = [{"brand": None, "ds": DS} | item(name, number) for number, name in enumerate(ITEMS)]
    offered, _ = prepare_offered_items(
        tmp_path / "vectors", pa.Table.from_pylist(rows), Excluded({}, OPT_OUTS.empty_table()), set()
    )
    # Weighs one thing alone: purchases of the last 14 days, log(1 + x).
    anything, own = np.zeros(8), np.zeros(16)
    anything[6], own[6] = 2.0, 1.0
    any_model = Logistic(np.zeros(8), np.ones(8), anything, -1.0)
    model = IntentModel(any_model, Logistic(np.zeros(16), np.ones(16), own, -2.0))
    users = [
        history("ann", ("i00", "view", 18), ("i01", "purchase", 19), ("i09", "view", 19)),
        history("bob", ("i03", "purchase", 2)),
    ]
    columns = ("user_key", "item_ids", "event_types", "timestamps")
    batch = pa.RecordBatch.from_pylist([{name: row[name] for name in columns} for row in users])
    [made] = list(_predictor(model, offered, days_before_end(DS, 0), DS)(iter([batch])))
    assert made.schema == arrow_schema(TABLES["purchase_intent"])
    found = {(row["user_key"], row["category"]): row["probability"] for row in made.to_pylist()}

    def logistic(score: float) -> float:
        return float(round(1 / (1 + np.exp(-score)), 6))

    # i09 has no category; what bob did on the 2nd lies out of sight.
    assert found == {
        ("ann", "any"): logistic(2 * np.log(2) - 1),
        ("bob", "any"): logistic(-1),
        ("ann", "Kitchen > C0"): logistic(-2),
        ("ann", "Kitchen > C1"): logistic(np.log(2) - 2),
    }


def catalog(*rows: tuple[str, date]) -> pa.Table:
    return pa.table({"item_id": [name for name, _ in rows], "first_seen": pa.array([day for _, day in rows])})


def test_sales_begin_on_the_day_an_item_was_first_seen() -> None:
    window = window_until(DS, DS - timedelta(days=3))
    first = (window[0] - date(1970, 1, 1)).days
    bought = pa.table(
        {
            "item_id": ["b", "a", "gone", "b", "b"],
            "day": pa.array([first, first + 3, first, first - 1, first + 3], pa.int32()),
            "purchases": [2, 1, 9, 9, 5],
        }
    )
    ids, sales = read_sales(bought, catalog(("b", window[2]), ("a", DS - timedelta(days=99))), window)
    assert ids == ["a", "b"]
    assert sales.counts.tolist() == [[0, 0, 0, 1], [2, 0, 0, 5]]
    # Bought before it was first seen: it must have been there.
    assert sales.there.tolist() == [[True] * 4, [True, False, True, True]]
    assert sales.weekdays.tolist() == [day.weekday() for day in window]


@pytest.mark.parametrize(("days", "checked"), [(40, True), (10, False)])
def test_outlook_has_both_horizons_of_every_item(days: int, checked: bool) -> None:
    window = window_until(DS, DS - timedelta(days=days - 1))
    start = (window[0] - date(1970, 1, 1)).days
    rng = np.random.default_rng(1)
    counts = rng.poisson(1.5, (60, days))
    items, places = np.nonzero(counts)
    bought = pa.table(
        {
            "item_id": [f"i{number:02d}" for number in items],
            "day": pa.array(places + start, pa.int32()),
            "purchases": counts[items, places],
        }
    )
    ids, sales = read_sales(bought, catalog(*((f"i{n:02d}", window[0]) for n in range(60))), window)
    made = build_outlook(ids, sales, None, DS)
    rows: list[dict[str, Any]] = made.rows.to_pylist()
    assert {(row["item_id"], row["horizon_days"]) for row in rows} == {(name, days) for name in ids for days in (7, 14)}
    assert all(0 <= row["low"] <= row["expected"] <= row["high"] for row in rows)
    week = sum(row["expected"] for row in rows if row["horizon_days"] == 7)
    assert week == pytest.approx(60 * 1.5 * 7, rel=0.15)
    assert ("demand_coverage_14" in made.facts) is checked
    assert ("demand" in made.facts) is not checked


@pytest.mark.spark
def test_spark_counts_purchases_and_repurchases(spark: SparkSession) -> None:
    users = [
        history("ann", ("tea", "purchase", 3), ("tea", "purchase", 9), ("mug", "purchase", 3), ("mug", "purchase", 3)),
        history("bob", ("tea", "purchase", 3), ("mug", "purchase", 4), ("mug", "view", 9)),
        history(None, ("tea", "purchase", 3), ("tea", "purchase", 9)),
        history("eve", ("pot", "view", 3)),
    ]
    rows = [row | {"ds": DS} for row in users]
    sequences = spark.createDataFrame(rows, spark_ddl(TABLES["sequences"])).coalesce(1)
    first = (date(2026, 11, 3) - date(1970, 1, 1)).days
    counted = {(row["item_id"], row["day"] - first): row["purchases"] for row in daily_purchases(sequences).collect()}
    assert counted == {("tea", 0): 3, ("tea", 6): 2, ("mug", 0): 2, ("mug", 1): 1}
    # Half of the known buyers of tea bought it on two days; ann's two mugs were one basket.
    rules = ReplenishRules(repurchase_share=0.5, min_buyers=2)
    assert [row["item_id"] for row in frequently_repurchased(rules, sequences).collect()] == ["tea"]
    assert frequently_repurchased(rules.model_copy(update={"min_buyers": 3}), sequences).collect() == []
