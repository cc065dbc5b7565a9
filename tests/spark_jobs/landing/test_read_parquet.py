"""Parquet files of several days with different column types, landed together or run by run."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_tasks.sources.sources import SourceError
from tests.spark_jobs.one_shop import DAY, ShopFixture

pytestmark = pytest.mark.spark

ORDERS = """
name = "orders"
[events]
path = "orders-{ds}.parquet"
format = "parquet"
[events.columns]
ts = "time"
event_type = "'purchase'"
item_id = "item"
user_key = "who"
session_id = "visit"
price = "price"
"""
DAYS = [DAY - timedelta(days) for days in (3, 2, 1, 0)]
BIG = 2**53 + 1


def deliver(shop: ShopFixture, day: date, **columns: pa.Array) -> None:
    noon = datetime(day.year, day.month, day.day, 12)
    times = pa.array([noon + timedelta(minutes=n) for n in range(2)], pa.timestamp("us", tz="UTC"))
    table = pa.table(
        {"time": times, "item": ["P1", "P2"], "who": [1, 2], "visit": ["s", "s"], "price": [1, 2]} | columns
    )
    pq.write_table(table, shop.files / f"orders-{day}.parquet")


def deliver_all(shop: ShopFixture) -> None:
    """Columns in four schemas, some of them mapped."""
    forms: list[dict[str, Any]] = [
        {"who": pa.array([1001, 1002]), "visit": pa.array([7, 8]), "price": pa.array([1, 2], pa.int32())},
        {"who": pa.array([1001.0, None]), "visit": pa.array(["7", "x"]), "price": pa.array([1.5, 2.5])},
        {
            "who": pa.array([None, None], pa.null()),
            "visit": pa.array([7.0, 8.0]),
            "price": pa.array([None, None], pa.string()),
        },
        {
            "who": pa.array([1001, 1002], pa.int32()),
            "visit": pa.array([7, 8]),
            "price": pa.array([Decimal("1.50"), Decimal("2.25")]),
        },
    ]
    unmapped: list[dict[str, Any]] = [
        {"coupon": pa.array(["A", "B"]), "seen": pa.array([DAY, DAY]), "long": pa.array([BIG, 1])},
        {
            "coupon": pa.array([None, None], pa.float64()),
            "seen": pa.array([datetime(2026, 1, 1)] * 2),
            "long": pa.array([1.0, 2.5]),
        },
        {"coupon": pa.array([True, False]), "more": pa.array([{"a": 1, "b": [1]}, None]), "Long": pa.array([1, 2])},
        {
            "coupon": pa.array([None, None], pa.null()),
            "more": pa.array([{"a": "x"}, {"a": "y"}]),
            "tags": pa.array([["t"], None]),
        },
    ]
    for day, mapped, other in zip(DAYS, forms, unmapped, strict=True):
        deliver(shop, day, **mapped, **other)


@pytest.mark.parametrize("together", [True, False])
def test_types_that_differ_between_days_are_joined(shop: ShopFixture, together: bool) -> None:
    deliver_all(shop)
    shop.describe(ORDERS)
    if not together:
        for day in DAYS[:-1]:
            shop.land(day)
    shop.run(window_days=4, rules="exact_duplicates")
    rows = shop.lake.read("events", columns=("ds", "item_id", "user_key", "session_id", "price")).to_pylist()
    seen = {(row["ds"], row["item_id"]): (row["user_key"], row["session_id"], row["price"]) for row in rows}
    assert seen == {
        (DAYS[0], "P1"): ("1001", "7", 1),
        (DAYS[0], "P2"): ("1002", "8", 2),
        (DAYS[1], "P1"): ("1001", "7", 1.5),
        (DAYS[1], "P2"): (None, "x", 2.5),
        (DAYS[2], "P1"): (None, "7", None),
        (DAYS[2], "P2"): (None, "8", None),
        (DAYS[3], "P1"): ("1001", "7", 1.5),
        (DAYS[3], "P2"): ("1002", "8", 2.25),
    }


def test_ids_too_long_for_a_double_stay_whole(shop: ShopFixture) -> None:
    deliver(shop, DAYS[-2], who=pa.array([BIG, BIG + 1]))
    deliver(shop, DAY, who=pa.array([7.0, None]))
    shop.describe(ORDERS).run(window_days=2)
    assert {row["user_key"] for row in shop.rows("events")} == {str(BIG), str(BIG + 1), "7", None}


def test_nanoseconds_in_a_later_file_alone(shop: ShopFixture) -> None:
    when = datetime(2026, 11, 20, 9, 0, 0, 5)
    deliver(shop, DAYS[-2])
    deliver(shop, DAY, time=pa.array([when, when], pa.timestamp("ns")))
    shop.describe(ORDERS).run(window_days=2)
    assert [row["ts"].replace(tzinfo=None) for row in shop.rows("events") if row["ds"] == DAY] == [when, when]


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"not parquet, but long enough to be a file of it"])
def test_a_damaged_footer_names_the_file_and_the_remedy(shop: ShopFixture, damage: bytes) -> None:
    deliver(shop, DAYS[-2])
    path = shop.files / f"orders-{DAY}.parquet"
    path.write_bytes(damage)
    with pytest.raises(SourceError, match=rf"{path} is no Parquet file, or is cut off or damaged .*: deliver it again"):
        shop.describe(ORDERS).land(window_days=2)
    deliver(shop, DAY)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match=rf"{path} is no Parquet file"):
        shop.land(window_days=2)


def test_columns_that_differ_only_by_case_are_named(shop: ShopFixture) -> None:
    deliver(shop, DAY, Item=pa.array(["P3", "P4"]))
    with pytest.raises(
        SourceError, match=r"orders-2026-11-20.parquet has the columns item and Item, and Spark ignores case"
    ):
        shop.describe(ORDERS).land()
