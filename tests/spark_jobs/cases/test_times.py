"""Times in another unit, times that overflow, and times without a date: each rejects its own record only."""

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.spark_jobs.cases.case_run import balanced, events_by_day, land_and_clean, refused
from tests.spark_jobs.one_shop import ShopFixture

pytestmark = pytest.mark.spark

# Epochs: timestamp_seconds and timestamp_millis raise "long overflow" for a number that is too large, with ANSI or
# without (apache/spark#56906, SPARK-57577).
APP = """
name = "epoch_units"
[events]
path = "app_events.jsonl"
format = "json"
[events.columns]
ts = "timestamp_millis(bigint(ts))"
event_type = "type"
item_id = "item"
user_key = "user"
"""


def good_records() -> list[dict[str, object]]:
    """Return 193 records of twenty days in milliseconds, 22 of the last."""
    start = datetime(2026, 11, 1, 8, tzinfo=UTC)
    records: list[dict[str, object]] = []
    for day in range(20):
        for n in range(22 if day == 19 else 9):
            at = start + timedelta(days=day, minutes=13 * n)
            kind = ["view", "click", "cart"][n % 3]
            user = f"u{(day * 7 + n) % 25}"
            records.append(
                {"ts": int(at.timestamp() * 1000), "type": kind, "item": f"A{(day + n) % 20:02d}", "user": user}
            )
    return records


def test_only_the_record_with_an_epoch_in_another_unit_is_rejected(shop: ShopFixture) -> None:
    shop.describe(APP)
    good = good_records()
    millis = int(datetime(2026, 11, 12, 8, tzinfo=UTC).timestamp() * 1000)
    wrong = [
        millis * 1_000_000,
        millis * 1_000,
        millis * 1_000 + 5,
        millis // 1_000,
        0,
        -62_135_596_800_000,
        99_999_999_999_999_999_999,
    ]
    rows = good + [{"ts": ts, "type": "view", "item": "A00", "user": "u1"} for ts in wrong]
    rows.sort(key=lambda row: (row["item"], row["user"], str(row["ts"])))
    (shop.files / "app_events.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    land_and_clean(shop)
    once = balanced(shop)
    assert (once["rows_in"], once["event"]) == (200, 193)
    assert events_by_day(shop)["11-20"] == 22
    rules = refused(shop)
    assert rules.keys() <= {"unparsable_time", "impossible_time"}
    assert sum(rules.values()) == 7
    [longest] = [row for row in shop.rows("quarantine") if "99999999999999999999" in row["raw"]]
    assert longest["rule"] == "unparsable_time"
    land_and_clean(shop)
    assert balanced(shop) == once


@pytest.mark.parametrize(
    "ts", ["timestamp_seconds(bigint(ts))", "timestamp_micros(bigint(ts))", "timestamp_seconds(double(ts))"]
)
def test_an_overflowing_epoch_does_not_fail_the_job(shop: ShopFixture, ts: str) -> None:
    shop.describe(APP.replace("timestamp_millis(bigint(ts))", ts))
    unit = 1_000_000 if "micros" in ts else 1
    at = int(datetime(2026, 11, 20, 8, tzinfo=UTC).timestamp()) * unit
    wrong = [2**63 - 1, -(2**63), 10**19, -(10**19), 10**30, "NaN", "Infinity", "-Infinity", "", None, True, {}, []]
    rows = [{"ts": at + n * unit * 60, "type": "view", "item": f"A{n}", "user": "u1"} for n in range(20)]
    rows += [{"ts": value, "type": "view", "item": "A1", "user": "u2"} for value in wrong]
    (shop.files / "app_events.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    shop.run(window_days=0)
    outcomes = balanced(shop)
    assert (outcomes["rows_in"], outcomes["event"]) == (33, 20)
    assert refused(shop).keys() <= {"unparsable_time", "impossible_time"}


# A time of day without a date: Spark's cast takes 09:12:33 for that time of today (apache/spark#7353, SPARK-8995).
TILL = """
name = "time_without_date"
[events]
path = "journal.csv"
format = "csv"
[events.columns]
ts = "concat_ws(' ', date, time)"
event_type = "'purchase'"
item_id = "article"
user_key = "card"
session_id = "receipt"
price = "unit_price"
quantity = "qty"
"""


def journal(start: datetime) -> str:
    """Return 120 rows of a till: eight without a date, two without a time, one at 24:00:00."""
    rows = []
    for n in range(120):
        at = start + timedelta(hours=2 * n, minutes=n)
        day, clock = f"{at:%Y-%m-%d}", f"{at:%H:%M:%S}"
        if n % 15 == 7:
            day = ""
        elif n in (20, 80):
            clock = ""
        elif n == 50:
            clock = "24:00:00"
        rows.append(f"{day},{clock},R{n // 3:04d},{4000 + n % 17},K{n % 11:03d},{1 + n % 3},{2 + n % 9}.99")
    return "\n".join(["date,time,receipt,article,card,qty,unit_price", *rows]) + "\n"


def assert_nothing_of_the_clock(shop: ShopFixture) -> None:
    assert balanced(shop) == {"rows_in": 120, "event": 111, "unparsable_time": 9}
    midnights = [row["ts"] for row in shop.rows("events") if f"{row['ts']:%H:%M:%S}" == "00:00:00"]
    assert len(midnights) == 2


def test_a_time_without_a_date_has_no_day(shop: ShopFixture) -> None:
    shop.describe(TILL)
    (shop.files / "journal.csv").write_text(journal(datetime(2026, 11, 10, 8, 6)))
    shop.run(window_days=0)
    assert_nothing_of_the_clock(shop)
    days = Counter(row["ds"] for row in shop.rows("events"))
    assert min(days) == date(2026, 11, 10)
    assert max(days) == date(2026, 11, 20)


def test_a_time_without_a_date_has_no_day_in_a_run_of_today(shop: ShopFixture) -> None:
    today = datetime.now(UTC).date()
    shop.describe(TILL)
    start = datetime.combine(today - timedelta(days=10), datetime.min.time()) + timedelta(hours=8, minutes=6)
    (shop.files / "journal.csv").write_text(journal(start))
    shop.run(today, 0)
    assert_nothing_of_the_clock(shop)


def test_a_bare_time_is_never_a_time_of_today(shop: ShopFixture) -> None:
    today = datetime.now(UTC).date()
    bare = ["09:12:33", "T09:12", "9:12", "09:12:33Z", "09:12:33.5+02:00", "T9"]
    times = [f"{today}T00:00:00Z", *bare]
    shop.describe()
    shop.deliver(*(f"{time},view,P{n},ann,s1,,," for n, time in enumerate(times)), day=today)
    shop.run(today)
    assert balanced(shop) == {"rows_in": 7, "event": 1, "unparsable_time": 6}
