"""One small valid frame per table, which the gates accept."""

from datetime import UTC, date, datetime
from typing import Any, Final

from pipeline_tasks.tables.contracts import SEGMENTS

DS: Final = date(2026, 11, 20)
NOON: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
MICROS: Final = int(NOON.timestamp()) * 1_000_000
Row = dict[str, Any]


def event(number: int, **more: object) -> Row:
    row = {"event_id": number, "user_key": "ann", "event_type": "view", "item_id": "i1", "price": 2.0, "quantity": 1.0}
    return row | {"ts": NOON, "arrived": DS, "ds": DS} | more


def outcome(name: str, rows: int, rule: str = "all") -> Row:
    return {"outcome": name, "rule": rule, "rows": rows, "fingerprint": "f", "ds": DS}


def split(**more: object) -> Row:
    row: Row = {"split_id": "s", "strategy": "temporal", "events_snapshot_id": 1, "window_start": date(2026, 10, 22)}
    row |= {"train_end": NOON.replace(day=10), "validation_end": NOON.replace(day=15), "cancellations": 0}
    counts = {"train_events": 6000, "validation_events": 2000, "test_events": 2000, "netted_purchases": 0}
    return row | counts | {"ds": DS} | more


def sequence(user: str, days: tuple[int, ...] = (5, 12, 19), **more: object) -> Row:
    times = [int(NOON.replace(day=day).timestamp()) * 1_000_000 for day in days]
    row: Row = {"sequence_key": user, "user_key": user, "item_ids": ["i1"] * len(days)}
    return row | {"event_types": ["view"] * len(days), "timestamps": times, "ds": DS} | more


def profile(user: str, **more: object) -> Row:
    row: Row = {"user_key": user, "segment": "loyal", "recency_days": 0, "frequency": 1, "monetary": 1.0, "events": 1}
    lists = {"top_categories": ["a"], "category_interest": [1.0], "top_brands": [], "brand_interest": []}
    lists |= {"price_band": "low", "preferred_hours": [9, 21], "rfm": "315", "cluster": 1}
    return row | lists | {"ds": DS} | more


def shelf(owner: str, name: str, rank: int, item: str, score: float, **more: object) -> Row:
    row = {owner: name, "rank": rank, "item_id": item, "score": score, "reason": "popular", "arm": "control"}
    return row | {"model_version": "m/1", "ds": DS} | more


def similar(item: str, rank: int, other: str, score: float, column: str = "similar_item_id") -> Row:
    row = {"item_id": item, "rank": rank, column: other, "score": score}
    return row | {"model_version": "m/1", "ds": DS}


def following(item: str, rank: int, other: str, score: float) -> Row:
    return similar(item, rank, other, score, "next_item_id")


def result(user: str | None, rank: int, item: str, score: float, **more: object) -> Row:
    row = {"query": "red tea", "user_key": user, "rank": rank, "item_id": item, "score": score, "ds": DS}
    return row | {"reason": "matches “red tea”", "model_version": "m/1"} | more


def suggestion(prefix: str, rank: int, query: str, searches: int) -> Row:
    return {"prefix": prefix, "rank": rank, "query": query, "searches": searches, "ds": DS}


def intent(user: str, category: str, probability: float) -> Row:
    return {"user_key": user, "category": category, "probability": probability, "ds": DS}


def audience(kind: str, target: str, rank: int, user: str, score: float) -> Row:
    row = {"target_type": kind, "target": target, "rank": rank, "user_key": user, "score": score}
    return row | {"model_version": "m/1", "ds": DS}


def demand(item: str, days: int, expected: float = 1.0, low: float = 0.0, high: float = 3.0) -> Row:
    return {"item_id": item, "horizon_days": days, "expected": expected, "low": low, "high": high, "ds": DS}


def item(name: str, **more: object) -> Row:
    return {"item_id": name, "title": name, "price": 2.0, "first_seen": DS, "ds": DS} | more


BESIDE: Final = {"i1": "23", "i2": "13", "i3": "12", "i4": "12", "out": "12"}
"""Two items beside each that has a vector; one may not be shown."""
GOOD: Final[dict[str, list[Row]]] = {
    "events": [event(number) for number in range(20)],
    "quarantine": [{"raw": "x", "rule": "bad_price", "detail": "price=-1", "source_file": "f.csv", "ds": DS}],
    "reconciliation": [
        outcome("rows_in", 22),
        outcome("event", 20),
        outcome("quarantine", 1, "bad_price"),
        outcome("duplicate", 1, "exact"),
    ],
    "items": [item(name, category=kind) for name, kind in (("i1", "mug"), ("i2", "tea"), ("i3", "tea"), ("i4", "pot"))],
    "users": [{"user_key": "ann", "attributes": "{}", "first_seen": DS, "last_seen": DS, "ds": DS}],
    "splits": [split()],
    "sequences": [
        sequence("ann", queries=["", "tea", ""], last_query="rug"),
        sequence("bob"),
        sequence("session:1", user_key=None),
    ],
    "user_profiles": [profile("ann"), profile("bob", price_band=None)],
    "recommendations": [
        shelf("user_key", user, rank, f"i{rank + 1}", 1.0 - rank) for user in ("ann", "bob") for rank in (1, 2)
    ],
    "fallback_recommendations": [
        shelf("segment", name, rank, f"i{rank}", 1 / rank) for name in (*SEGMENTS, "everyone") for rank in (1, 2)
    ],
    "similar_items": [
        similar(name, rank, other, 0.9)
        for name, others in BESIDE.items()
        for rank, other in enumerate((f"i{number}" for number in others), start=1)
    ],
    "next_items": [
        following(name, rank, other, 2.0 - rank)
        for name, others in BESIDE.items()
        for rank, other in enumerate((f"i{number}" for number in others), start=1)
    ],
    "search_results": [
        result(None, 1, "i2", 0.03),
        result(None, 2, "i3", 0.02),
        result("ann", 1, "i3", 0.04),
        result("ann", 2, "i2", 0.04),
    ],
    "search_suggestions": [suggestion("r", 1, "red tea", 3), suggestion("r", 2, "rug", 3)],
    "purchase_intent": [intent("ann", "any", 0.5), intent("ann", "tea", 0.1), intent("bob", "any", 0.0)],
    "audiences": [
        audience("item", "i2", 1, "ann", -1.0),
        audience("item", "i2", 2, "bob", -2.0),
        audience("category", "tea", 1, "bob", -2.0),
    ],
    "demand_outlook": [demand(name, days) for name in ("i1", "i2", "i3", "i4") for days in (7, 14)],
}
VIEWS: Final[dict[str, tuple[str, list[tuple[Any, ...]]]]] = {
    "staged_rows": ("name string, ds date, rows long", [("events", DS, 20), ("quarantine", DS, 1)]),
    "already_taken": ("user_key string, item_id string", [("ann", "i1"), ("bob", "i1")]),
    "shelves_due": ("user_key string, rows_due int", [("ann", 2), ("bob", 2)]),
    "shelf_rules": (
        "item_id string, allowed boolean, replenishable boolean",
        [("i1", True, False), ("i2", True, False), ("i3", True, False), ("i4", True, False), ("out", False, False)],
    ),
    "opt_outs": ("user_key string, item_id string", [("ann", "i4"), ("zoe", None)]),
    "shelf_arms": ("arm string, by_score boolean", [("control", True), ("mixed", False)]),
    "manifest_facts": (
        "name string, value string",
        [
            *(("intent_auc", "0.7"), ("intent_log_loss", "0.5"), ("fallback_k", "2")),
            *(("similar_k", "2"), ("next_k", "2")),
            *(("shown_items", "4"), ("allowed_items", "4")),
        ],
    ),
}
"""Columns and rows of what the gate derives from the manifest."""
