"""Rankings, clicks and items in one file: the latest description of an item is kept (metarank#1489)."""

import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.spark_jobs.cases.case_run import balanced, land_and_clean
from tests.spark_jobs.one_shop import ShopFixture

pytestmark = pytest.mark.spark

EVENTS = """
name = "rankings"
[events]
path = "events.jsonl"
format = "json"
fields = ["event", "id", "timestamp", "user", "session", "ranking", "type", "item", "items"]
select = ["* EXCEPT (items)", "posexplode_outer(from_json(items, 'array<struct<id:string>>')) AS (place, shown)"]
where = "event IN ('ranking', 'interaction')"
[events.columns]
ts = '''CASE WHEN `timestamp` RLIKE '^[0-9]{13}$' THEN timestamp_millis(bigint(`timestamp`))
  ELSE to_timestamp(`timestamp`) END'''
event_type = "CASE WHEN event = 'ranking' THEN 'impression' ELSE type END"
item_id = "coalesce(shown.id, item)"
user_key = "user"
session_id = "session"
position = "CASE WHEN event = 'ranking' THEN place + 1 END"
"""


def value_of(name: str) -> str:
    return f"filter(from_json(fields, 'array<struct<name:string,value:string>>'), f -> f.name = '{name}')[0].value"


ITEMS = f"""
[items]
path = "events.jsonl"
format = "json"
fields = ["event", "id", "timestamp", "item", "fields"]
where = "event = 'item'"
[items.columns]
item_id = "item"
title = "{value_of("title")}"
category = "{value_of("category")}"
brand = "{value_of("brand")}"
price = "{value_of("price")}"
"""
NEWEST = """select = ["*", "row_number() OVER (PARTITION BY event, item ORDER BY bigint(`timestamp`) DESC) AS nth"]
where = "event = 'item' AND nth = 1"
"""


def millis(at: datetime) -> str:
    return str(int(at.timestamp() * 1000))


def records() -> list[dict[str, Any]]:
    """Return 151 records: 41 descriptions of 25 items, 10 users, 60 rankings of eight, 30 clicks, 10 purchases."""
    draw = random.Random(16)
    rows, start = [], datetime(2026, 11, 19, 3, tzinfo=UTC)
    for version in range(3):
        for n in range(25 if version == 0 else 8):
            at = start + timedelta(hours=14 * version, minutes=n)
            rows.append(described(f"i{version}{n}", millis(at), n, version))
    rows += [{"event": "user", "id": f"u{n}", "timestamp": millis(start), "user": f"U{n}"} for n in range(10)]
    for n in range(60):
        at = start + timedelta(minutes=29 * n + 60)
        shown = [f"L{item:02d}" for item in draw.sample(range(25), 8)]
        who = {"user": f"U{n % 10}", "session": f"s{n % 20}"}
        time = millis(at) if n % 4 else at.astimezone(timezone(timedelta(hours=8))).isoformat()
        rows.append({"event": "ranking", "timestamp": time, **who, "items": [{"id": item} for item in shown]})
        for kind, every, later in (("click", 2, 20), ("purchase", 6, 180)):
            if n % every == 0:
                act = {"type": kind, "item": shown[n % 3], "timestamp": millis(at + timedelta(seconds=later))}
                rows.append({"event": "interaction", **who, **act})
    draw.shuffle(rows)
    return rows


def described(key: str, at: str, n: int, version: int) -> dict[str, Any]:
    """Return a description of an item; only the first has a brand."""
    fields: list[dict[str, Any]] = [
        {"name": "title", "value": f"Lamp {n} v{version}"},
        {"name": "category", "value": f"Home > Light {n % 3}"},
        {"name": "price", "value": 20 + n + 100 * version},
    ]
    if version == 0:
        fields.append({"name": "brand", "value": "Lumen"})
    return {"event": "item", "id": key, "timestamp": at, "item": f"L{n:02d}", "fields": fields}


def deliver(shop: ShopFixture, toml: str) -> None:
    shop.describe(toml)
    rows = records()
    assert len(rows) == 151
    (shop.files / "events.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")


def items(shop: ShopFixture) -> dict[str, tuple[str, float, str | None]]:
    return {row["item_id"]: (row["title"], row["price"], row["brand"]) for row in shop.rows("items")}


def test_positions_count_from_one_and_select_takes_the_newest(
    shop: ShopFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    deliver(shop, EVENTS + ITEMS.replace("where = \"event = 'item'\"\n", NEWEST))
    land_and_clean(shop)
    assert "'rows_read': 571, 'left_out_by_where': 51" in capsys.readouterr().out
    assert balanced(shop) == {"rows_in": 520, "event": 520}
    events = shop.rows("events")
    assert Counter(row["event_type"] for row in events) == {"impression": 480, "click": 30, "purchase": 10}
    places = Counter(row["position"] for row in events if row["event_type"] == "impression")
    assert places == dict.fromkeys(range(1, 9), 60)
    catalog = items(shop)
    assert len(catalog) == 25
    assert catalog["L03"] == ("Lamp 3 v2", 223.0, None)
    assert catalog["L20"][0] == "Lamp 20 v0"


def test_the_newest_of_several_descriptions_is_kept(shop: ShopFixture) -> None:
    updated = "timestamp_millis(bigint(`timestamp`))"
    naive = ITEMS.replace("[items.columns]", f'[items.columns]\nupdated_at = "{updated}"')
    deliver(shop, EVENTS.replace("THEN place + 1 END", "THEN place END") + naive)
    land_and_clean(shop)
    zero = [row for row in shop.rows("quarantine") if row["rule"] == "impossible_number"]
    assert len(zero) == 60
    assert {row["detail"] for row in zero} == {"position=0"}
    repeats = [row["rows"] for row in shop.rows("reconciliation") if row["rule"] == "duplicate_item_id"]
    assert sum(repeats) == 16
    catalog = items(shop)
    assert len(catalog) == 25
    assert catalog["L03"][:2] == ("Lamp 3 v2", 223.0)
    assert catalog["L20"][0] == "Lamp 20 v0"
