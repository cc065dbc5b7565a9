"""Properties of finding duplicates and bots, on rows that hypothesis generates."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.config.settings import CleaningSettings
from spark_jobs.cleaning.cleaning_rules import find_rejected_rows
from spark_jobs.splitting.build_sequences import netted_purchases

pytestmark = pytest.mark.spark

DAY = date(2026, 11, 20)
START = datetime(2026, 11, 20, 9, tzinfo=UTC)
JUDGED = (
    "_row bigint, _record_id bigint, _rule string, ds date, arrived date, ts timestamp, user_key string, "
    "session_id string, item_id string, event_type string, query string"
)
ALL = ("exact_duplicates", "near_duplicates", "bots")
# Each example is a Spark job of about a second: few, but of many rows.
FEW = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

acts = st.tuples(
    st.sampled_from(["ann", "bob", None]),
    st.sampled_from(["s1", None]),
    st.sampled_from(["P1", "P2"]),
    st.sampled_from(["view", "cart"]),
    st.integers(0, 40),
    st.sampled_from([None, None, None, "missing_item"]),
)


def row(number: int, act: tuple[str | None, str | None, str, str, int, str | None]) -> dict[str, Any]:
    user, session, item, kind, tenths, rule = act
    return {
        "_row": number,
        "_record_id": hash((user, session, item, kind, tenths)) >> 2,
        "_rule": rule,
        "ds": DAY,
        "arrived": DAY,
        "ts": START + timedelta(milliseconds=400 * tenths),
        "user_key": user,
        "session_id": session,
        "item_id": item,
        "event_type": kind,
        "query": None,
    }


@FEW
@given(st.lists(acts, min_size=1, max_size=120))
def test_every_row_has_one_outcome_and_cleaning_is_idempotent(spark: SparkSession, told: list[Any]) -> None:
    rows = [row(number, act) for number, act in enumerate(told)]
    judged = spark.createDataFrame(rows, JUDGED)
    limits = CleaningSettings(bot_events_per_day=25)
    verdicts = {found["_row"]: found["_rule"] for found in find_rejected_rows(judged, ALL, limits).collect()}
    assert all(verdicts[one["_row"]] == one["_rule"] for one in rows if one["_rule"])
    valid = Counter(one["_record_id"] for one in rows if not one["_rule"])
    copies = sum(rule == "exact_duplicates" for rule in verdicts.values())
    assert copies == sum(valid.values()) - len(valid), "of identical records one stays, or its bot's verdict"
    kept = judged.where(~F.col("_row").isin(list(verdicts)))
    assert find_rejected_rows(kept, ALL, limits).count() == 0


orders = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(["purchase", "cancellation"]), st.integers(1, 5)),
    min_size=1,
    max_size=60,
)


@FEW
@given(orders)
def test_cancellations_take_back_the_latest_earlier_purchases(spark: SparkSession, told: list[Any]) -> None:
    schema = (
        "event_id bigint, ds date, user_key string, item_id string, event_type string, quantity double, ts timestamp"
    )
    rows = [
        (n, DAY, "ann", item, kind, float(q), START + timedelta(minutes=n)) for n, (item, kind, q) in enumerate(told)
    ]
    found = netted_purchases(spark.createDataFrame(rows, schema)).collect()
    assert {one["event_id"]: one["absorbed"] for one in found} == by_hand(told)


def by_hand(told: list[tuple[str, str, int]]) -> dict[int, float]:
    open_orders: dict[str, list[list[int]]] = {"a": [], "b": []}
    taken: Counter[int] = Counter()
    for number, (item, kind, quantity) in enumerate(told):
        if kind == "purchase":
            open_orders[item].append([number, quantity])
            continue
        left = quantity
        while left and open_orders[item]:
            order = open_orders[item][-1]
            units = min(left, order[1])
            taken[order[0]] += units
            left -= units
            order[1] -= units
            if not order[1]:
                open_orders[item].pop()
    return {number: float(units) for number, units in taken.items()}
