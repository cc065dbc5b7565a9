"""A shop west of Greenwich: its evening belongs to the next day in UTC (Velir/dbt-ga4#144)."""

import json
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.spark_jobs.cases.case_run import balanced, events_by_day, land_and_clean, refused
from tests.spark_jobs.one_shop import ShopFixture

pytestmark = pytest.mark.spark

LOS_ANGELES = ZoneInfo("America/Los_Angeles")
TOML = """
name = "evenings"
[events]
path = "events-{ds}.json"
format = "json"
[events.columns]
ts = "timestamp_micros(bigint(event_timestamp))"
event_type = "CASE event_name WHEN 'view_item' THEN 'view' WHEN 'add_to_cart' THEN 'cart' ELSE event_name END"
item_id = "item_id"
user_key = "user_pseudo_id"
session_id = "concat_ws('.', user_pseudo_id, ga_session_id)"
"""
BY_UTC_DAY = {"11-18": 24, "11-19": 36, "11-20": 36, "11-21": 36, "11-22": 12}


def deliver(shop: ShopFixture, *days: int) -> None:
    """Write a file of 36 events for every local day, one every forty minutes, its times in UTC."""
    names = ["view_item", "view_item", "add_to_cart", "purchase"]
    for day in days:
        rows = []
        for n in range(36):
            at = datetime(2026, 11, day, 0, 20, tzinfo=LOS_ANGELES).astimezone(UTC) + timedelta(minutes=40 * n)
            rows.append(
                {
                    "event_timestamp": str(int(at.timestamp() * 1_000_000)),
                    "event_name": names[n % 4],
                    "user_pseudo_id": f"{4000 + n % 12}.17{n % 12:02d}",
                    "ga_session_id": f"{day}{n // 4:02d}",
                    "item_id": f"TEE-{n % 9:02d}",
                }
            )
        (shop.files / f"events-2026-11-{day}.json").write_text("\n".join(map(json.dumps, rows)) + "\n")


def test_an_evening_after_midnight_in_utc_waits_for_its_day(shop: ShopFixture) -> None:
    shop.describe(TOML)
    deliver(shop, 18, 19, 20)
    land_and_clean(shop)
    assert refused(shop) == {}
    outcomes = balanced(shop)
    assert outcomes["event"] == sum(events_by_day(shop).values())
    waiting = 12 - events_by_day(shop).get("11-21", 0)
    assert outcomes.get("waiting", 0) == waiting
    assert {day: n for day, n in events_by_day(shop).items() if day < "11-21"} == {
        day: n for day, n in BY_UTC_DAY.items() if day < "11-21"
    }
    with pytest.raises(FileNotFoundError, match=r"No events of evenings for 2026-11-21: no file fits"):
        shop.land(date(2026, 11, 21), 0)
    deliver(shop, 21)
    land_and_clean(shop, date(2026, 11, 21))
    assert refused(shop) == {}
    balanced(shop)
    assert {day: n for day, n in events_by_day(shop).items() if day < "11-22"} == {
        day: n for day, n in BY_UTC_DAY.items() if day < "11-22"
    }


def test_expressions_can_convert_to_the_shops_time_zone(shop: ShopFixture) -> None:
    local = "from_utc_timestamp(timestamp_micros(bigint(event_timestamp)), 'America/Los_Angeles')"
    shop.describe(TOML.replace("timestamp_micros(bigint(event_timestamp))", local))
    deliver(shop, 18, 19, 20)
    land_and_clean(shop)
    assert balanced(shop) == {"rows_in": 108, "event": 108}
    assert events_by_day(shop) == {"11-18": 36, "11-19": 36, "11-20": 36}


def test_a_declared_time_zone_determines_the_days(shop: ShopFixture) -> None:
    shop.describe(TOML.replace("[events]", 'timezone = "America/Los_Angeles"\n[events]', 1))
    deliver(shop, 18, 19, 20)
    land_and_clean(shop)
    assert balanced(shop) == {"rows_in": 108, "event": 108}
    assert events_by_day(shop) == {"11-18": 36, "11-19": 36, "11-20": 36}
    first = min(row["ts"] for row in shop.rows("events"))
    assert first == datetime(2026, 11, 18, 8, 20, tzinfo=UTC), "tables keep UTC"
