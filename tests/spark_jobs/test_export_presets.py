"""Presets of programs that many shops use, on rows in the format that their vendors publish."""

import json
from hashlib import sha256
from typing import Any

import pytest

from tests.spark_jobs.one_shop import DAY, ShopFixture

pytestmark = pytest.mark.spark

NOON = 1_795_176_000_000_000
COLUMNS = ("event_type", "item_id", "user_key", "session_id", "query", "price", "quantity")


def events(shop: ShopFixture) -> list[tuple[Any, ...]]:
    rows = shop.lake.read("events", columns=("ts", *COLUMNS)).sort_by([("ts", "ascending"), ("item_id", "ascending")])
    return [tuple(row[name] for name in COLUMNS) for row in rows.to_pylist()]


def ga4(seconds: int, name: str, *items: dict[str, Any], user: str | None = None, term: str = "") -> str:
    params = [{"key": "ga_session_id", "value": {"int_value": "1795"}}, {"key": "page_location", "value": {}}]
    params += [{"key": "search_term", "value": {"string_value": term}}] if term else []
    event = {"event_date": "20261120", "event_timestamp": str(NOON + seconds * 1_000_000), "event_name": name}
    event |= {"event_params": params, "user_pseudo_id": "1.2", "items": list(items)}  # type: ignore[dict-item]
    return json.dumps(event | ({"user_id": user} if user else {}))


def test_google_analytics_4(shop: ShopFixture) -> None:
    mug = {"item_id": "SKU1", "item_name": "Mug", "item_category": "Home", "item_brand": "(not set)", "price": 12.5}
    lines = [
        ga4(0, "session_start"),
        ga4(1, "view_search_results", term="Blue Mug"),
        ga4(2, "view_item", mug),
        ga4(3, "add_to_cart", mug | {"quantity": "2"}),
        ga4(4, "purchase", mug | {"quantity": "2"}, {"item_id": "SKU2", "price": 3}, user="ann"),
    ]
    (shop.files / "events_20261120-000000000000.json").write_text("\n".join(lines))
    shop.preset("ga4_bigquery", shop.files).run()
    assert events(shop) == [
        ("search", None, "1.2", "1.2.1795", "blue mug", None, None),
        ("view", "SKU1", "1.2", "1.2.1795", None, 12.5, None),
        ("cart", "SKU1", "1.2", "1.2.1795", None, 12.5, 2.0),
        ("purchase", "SKU1", "ann", "1.2.1795", None, 12.5, 2.0),
        ("purchase", "SKU2", "ann", "1.2.1795", None, 3.0, 1.0),
    ]
    items = {row["item_id"]: (row["title"], row["category"], row["brand"]) for row in shop.rows("items")}
    assert items == {"SKU1": ("Mug", "Home", None), "SKU2": (None, None, None)}


def segment(second: int, event: str, **properties: object) -> str:
    call = {"type": "track", "event": event, "anonymousId": "a1", "userId": None, "properties": properties}
    return json.dumps(call | {"timestamp": f"2026-11-20T12:00:0{second}.000Z", "context": {"sessionId": 7}})


def test_segment(shop: ShopFixture) -> None:
    mug = {"product_id": "507f", "sku": "G-32", "name": "Mug", "category": "Home", "price": 12.5, "quantity": 1}
    lines = [
        json.dumps({"type": "page", "anonymousId": "a1", "timestamp": "2026-11-20T12:00:00.000Z"}),
        segment(1, "Products Searched", query="Blue Mug"),
        segment(2, "Product Viewed", **mug, position=3),
        segment(3, "Order Completed", order_id="50", products=[mug | {"quantity": 2}, {"sku": "X", "price": 3}]),
    ]
    (shop.files / "1795132800000.json").write_text("\n".join(lines))
    shop.preset("segment", shop.files).run()
    assert events(shop) == [
        ("search", None, "a1", "7", "blue mug", None, None),
        ("view", "507f", "a1", "7", None, 12.5, 1.0),
        ("purchase", "507f", "a1", "7", None, 12.5, 2.0),
        ("purchase", "X", "a1", "7", None, 3.0, 1.0),
    ]
    assert {row["item_id"]: row["title"] for row in shop.rows("items")} == {"507f": "Mug", "X": None}


def test_shopify_orders(shop: ShopFixture) -> None:
    header = "Name,Email,Financial Status,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Notes,"
    lines = [
        f"{header}Cancelled at,Vendor",
        '#1001,Ann@example.com,paid,2026-11-20 09:00:00 -0500,2,"Mug, 12"" high",12.50,MUG,"Ring twice,\nplease",,Leaf',
        "#1001,ann@example.com,,,1,Tote,20.00,,,,Leaf",
        "#1002,bob@example.com,refunded,2026-11-20 10:00:00 -0500,1,Mug,12.50,MUG,,2026-11-20 11:00:00 -0500,Leaf",
        "#1002,bob@example.com,,,1,Tote,20.00,,,,Leaf",
    ]
    (shop.files / "orders_export_1.csv").write_text("\n".join(lines) + "\n")
    shop.preset("shopify_orders", shop.files).run()
    ann = sha256(b"ann@example.com").hexdigest()
    assert events(shop) == [
        ("purchase", "MUG", ann, "#1001", None, 12.5, 2.0),
        ("purchase", "Tote", ann, "#1001", None, 20.0, 1.0),
    ]
    assert shop.outcomes(DAY) == {"rows_in": 2, "event": 2}
    assert {row["item_id"]: row["title"] for row in shop.rows("items")} == {"MUG": 'Mug, 12" high', "Tote": "Tote"}
