"""Shares of rejected rows: a few bad rows do not stop a run, and a closed gate names the cause and the remedy."""

import random
import re
from collections import Counter
from datetime import date, datetime, timedelta

import duckdb
import pytest

from pipeline_tasks.quality.gate_report import GateError
from tests.spark_jobs.cases.case_run import balanced, events_by_day, land_and_clean, refused, split_published
from tests.spark_jobs.one_shop import ShopFixture

pytestmark = pytest.mark.spark

# A program's zero in place of a time, in one record of forty (cockroachdb/cockroach#29298, gorse-io/gorse#516).
FEEDBACK = """
name = "zero_times"
[events]
path = "feedback.csv"
format = "csv"
[events.columns]
ts = "time_stamp"
event_type = "CASE feedback_type WHEN 'read' THEN 'view' WHEN 'like' THEN 'click' WHEN 'buy' THEN 'purchase' END"
item_id = "item_id"
user_key = "user_id"
[items]
path = "items.csv"
format = "csv"
[items.columns]
item_id = "item_id"
title = "title"
category = "topic"
"""
ZEROS = ["0001-01-01T00:00:00Z"] * 60 + ["0000-00-00 00:00:00"] * 50 + ["1970-01-01T00:00:00Z"] * 40
TOPICS, GUIDES = 8, 80


def chosen(draw: random.Random, taste: int, items: int, groups: int) -> int:
    """Return an item, most likely one of the group that is liked."""
    weights = [(12 if item % groups == taste % groups else 1) / (1 + item // groups) for item in range(items)]
    return draw.choices(range(items), weights)[0]


def deliver_feedback(shop: ShopFixture, *more: str) -> None:
    draw = random.Random(20)
    rows = []
    for n in range(5_850):
        day = draw.randrange(59) if n >= 90 else 59
        at = datetime(2026, 9, 22) + timedelta(days=day, seconds=draw.randrange(25_000, 84_000))
        kind = draw.choices(["read", "like", "buy"], [6, 2, 2])[0]
        rows.append(f"{kind},u{n % 240},g{chosen(draw, n % 240, GUIDES, TOPICS):02d},{at:%Y-%m-%dT%H:%M:%SZ}")
    rows += [f"read,u{n % 240},g{n % GUIDES:02d},{zero}" for n, zero in enumerate(ZEROS)]
    draw.shuffle(rows)
    text = "\n".join(["feedback_type,user_id,item_id,time_stamp", *rows, *more]) + "\n"
    (shop.files / "feedback.csv").write_text(text)
    guides = [f"g{n:02d},Guide to topic {n % TOPICS} part {n // TOPICS},Topic {n % TOPICS}" for n in range(GUIDES)]
    (shop.files / "items.csv").write_text("\n".join(["item_id,title,topic", *guides]) + "\n")


def test_one_bad_record_of_forty_does_not_stop_the_run(shop: ShopFixture) -> None:
    shop.describe(FEEDBACK)
    deliver_feedback(shop)
    report = land_and_clean(shop)
    assert report.critical == []
    outcomes = {"rows_in": 6_000, "event": 5_850, "unparsable_time": 50, "impossible_time": 100}
    assert balanced(shop) == outcomes
    assert events_by_day(shop)["11-20"] == 90
    assert len(shop.rows("users", "user_key")) == 240
    split_published(shop)
    deliver_feedback(shop, "read,u1,g01,2026-11-21T09:00:00Z")
    land_and_clean(shop, date(2026, 11, 21))
    assert balanced(shop) == outcomes | {"rows_in": 6_001, "event": 5_851}


# Placeholders taken for one giant user (PostHog's lists of illegal ids).
VISITS = """
name = "placeholder_users"
[events]
path = "events.csv"
format = "csv"
[events.columns]
ts = "time"
event_type = "kind"
item_id = "item"
user_key = "USER"
session_id = "visit"
[items]
path = "items.csv"
format = "csv"
[items.columns]
item_id = "sku"
title = "name"
category = "department"
"""
ZERO_GUID = "00000000-0000-0000-0000-000000000000"
PLACEHOLDERS = {"undefined": 900, "0": 700, "anonymous": 400, "-1": 300, ZERO_GUID: 300, "(not set)": 200}
MAPPED = f"CASE WHEN lower(trim(user)) IN ({', '.join(map(repr, PLACEHOLDERS))}) THEN NULL ELSE user END"
SALE = datetime(2026, 11, 13)


def visits() -> list[tuple[datetime, str, int, str, str]]:
    """Return 8,940 events of 320 users and of anonymous sessions in 1,275 visits: (time, kind, item, user, visit)."""
    draw = random.Random(10)
    rows = []
    for user in range(320):
        for number in range(10 + user % 5):
            at = datetime(2026, 10, 22) + timedelta(days=draw.randrange(30), seconds=draw.randrange(21_600, 82_800))
            kind = draw.choices(["view", "cart", "purchase"], [6, 2, 2])[0]
            rows.append((at, kind, chosen(draw, user, 60, 6), f"{70000 + user}", f"s{user}x{number}"))
    for name, count in PLACEHOLDERS.items():
        for visit in range(count // 4):
            at = datetime(2026, 10, 22) + timedelta(days=draw.randrange(30), seconds=draw.randrange(0, 86_000, 60))
            taste = draw.randrange(6)
            for step, kind in enumerate(["view", "view", "cart", "purchase"]):
                moment = at + timedelta(seconds=9 * step + len(name))
                rows.append((moment, kind, chosen(draw, taste, 60, 6), name, f"{name[:3]}{visit}"))
    seconds = draw.sample(range(0, 86_000, 37), 2300)
    for visit in range(575):
        taste = draw.randrange(6)
        for kind, second in zip(
            ["view", "view", "view", "cart"], sorted(seconds[4 * visit : 4 * visit + 4]), strict=True
        ):
            rows.append(
                (SALE + timedelta(seconds=second), kind, chosen(draw, taste, 60, 6), "undefined", f"sale{visit}")
            )
    return sorted(rows)


def deliver_visits(shop: ShopFixture, user: str) -> Counter[str]:
    """Write the log and the catalog; return how many events each user has."""
    shop.describe(VISITS.replace("USER", user))
    rows = visits()
    lines = [f"{at:%Y-%m-%d %H:%M:%S},{kind},I{item:03d},{who},{visit}" for at, kind, item, who, visit in rows]
    (shop.files / "events.csv").write_text("\n".join(["time,kind,item,user,visit", *lines]) + "\n")
    words = ["Teapot", "Scarf", "Lamp", "Backpack", "Candle", "Notebook"]
    items = [f"I{n:03d},{words[n % 6]} number {n // 6},Home > {words[n % 6]}s" for n in range(60)]
    (shop.files / "items.csv").write_text("\n".join(["sku,name,department", *items]) + "\n")
    return Counter(row[3] for row in rows)


def test_mapped_placeholders_are_anonymous_visits(shop: ShopFixture) -> None:
    deliver_visits(shop, MAPPED)
    land_and_clean(shop)
    outcomes = balanced(shop)
    assert outcomes["rows_in"] == 8_940
    assert refused(shop) == {}
    near = outcomes.get("near_duplicates", 0)
    assert outcomes["event"] == 8_940 - near
    assert len(shop.rows("users", "user_key")) == 320
    split_published(shop)
    histories = shop.rows("sequences", "sequence_key", "user_key")
    assert sum(row["user_key"] is None for row in histories) == 1_275
    assert len(histories) == 320 + 1_275


def test_an_unmapped_placeholder_is_named(shop: ShopFixture) -> None:
    held = deliver_visits(shop, "user")
    with pytest.raises(GateError) as failed:
        land_and_clean(shop)
    message = str(failed.value)
    assert "bots" in message
    assert "user_key=undefined" in message
    assert "\n" not in message
    assert held["undefined"] == 3_200


def test_the_query_that_a_closed_gate_offers_runs(shop: ShopFixture) -> None:
    deliver_visits(shop, "user")
    with pytest.raises(GateError) as failed:
        land_and_clean(shop)
    [query] = re.findall(r"SELECT [^\"]*?read_parquet\([^;\"`]*", str(failed.value)) or [""]
    assert query, f"no query in: {failed.value}"
    with duckdb.connect() as connection:
        assert connection.execute(query).fetchall()
