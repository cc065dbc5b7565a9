"""A lake with two nights of one shop, in which some texts try to leave their place on a page."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

import pyarrow as pa

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema

SOURCE: Final = "shop"
MONDAY, TUESDAY = date(2026, 11, 16), date(2026, 11, 17)
SCRIPT: Final = "<script>document.title='taken'</script>"
LONG: Final = "x" * 10_000
REVERSED: Final = "safe \u202egpj.exe"
QUOTED: Final = "\"><img src=x onerror=alert(1)>' & co"
TITLES: Final = {"i1": "Red lamp", "i2": SCRIPT, "i3": LONG, "i4": REVERSED, "i5": QUOTED, "i6": None}
MODEL: Final = "nightshelf-shop/1"
AT: Final = datetime(2026, 11, 17, 8, 30, tzinfo=UTC)


def write_page_shop(settings: Settings) -> None:
    """Write both nights. User ann has recommendations in both, bob is new and has none."""
    lake = Lake.open(settings, SOURCE)
    for ds in (MONDAY, TUESDAY):
        for name, rows in _rows(ds).items():
            table = pa.Table.from_pylist([row | {"ds": ds} for row in rows], schema=arrow_schema(TABLES[name]))
            lake.commit(name, [ds], lake.write_arrow(name, table))


def _rows(ds: date) -> Mapping[str, list[dict[str, Any]]]:
    order = list(TITLES) if ds == TUESDAY else list(TITLES)[:3][::-1]
    scored = [
        {
            "rank": rank,
            "item_id": item,
            "score": 9.0455 / rank,
            "reason": f"because of {SCRIPT}",
            "model_version": MODEL,
        }
        for rank, item in enumerate(order, 1)
    ]
    other = [{"item_id": "i1", "rank": 1, "score": 0.5, "model_version": MODEL}]
    profile = {
        "segment": "loyal", "recency_days": 0, "frequency": 2, "monetary": 12.5, "rfm": "555", "events": 7,
        "top_categories": ["Home > Lamps"], "category_interest": [1.0], "top_brands": [], "brand_interest": [],
        "preferred_hours": [8],
    }  # fmt: skip
    event = {
        "event_id": 1, "user_key": "ann", "event_type": "purchase", "item_id": "i1", "quantity": 2.0, "ts": AT,
        "arrived": ds,
    }  # fmt: skip
    return {
        "items": [
            {"item_id": item, "title": title, "category": "Home > Lamps", "price": 5.0, "first_seen": MONDAY}
            for item, title in TITLES.items()
        ],
        "recommendations": [row | {"user_key": "ann", "arm": "control"} for row in scored],
        "fallback_recommendations": [row | {"segment": "everyone"} for row in scored[:2]],
        "user_profiles": [profile | {"user_key": "ann"}, profile | {"user_key": "bob", "segment": "new"}],
        "sequences": [
            {
                "sequence_key": "ann", "user_key": "ann", "item_ids": ["i2", "i1"], "event_types": ["view", "purchase"],
                "timestamps": [int(AT.timestamp() * 1e6) - 1, int(AT.timestamp() * 1e6)],
            }
        ],
        "purchase_intent": [{"user_key": "ann", "category": "any", "probability": 0.25}],
        "similar_items": [row | {"similar_item_id": "i2"} for row in other],
        "next_items": [row | {"next_item_id": "i5"} for row in other],
        "audiences": [
            {"target_type": "item", "target": "i1", "rank": 1, "user_key": "ann", "score": -2.5, "model_version": MODEL}
        ],
        "demand_outlook": [{"item_id": "i1", "horizon_days": 7, "expected": 1.25, "low": 0.0, "high": 3.0}],
        "search_results": [row | {"query": "red lamp", "user_key": None} for row in scored],
        "search_suggestions": [{"prefix": "re", "rank": 1, "query": "red lamp", "searches": 4}],
        "events": [event],
    }  # fmt: skip
