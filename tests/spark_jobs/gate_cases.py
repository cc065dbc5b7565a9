"""One small good frame per table, and what breaks it: for the tests of the gates."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

DS: Final = date(2026, 11, 20)
NOON: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
MICROS: Final = int(NOON.timestamp()) * 1_000_000
Row = dict[str, Any]


@dataclass(frozen=True)
class Defect:
    """Rows that break rules of one table: `expected` are (column, severity) of the findings that must result."""

    table: str
    rows: list[Row]
    expected: set[tuple[str, str]]


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


def similar(item: str, rank: int, other: str, score: float) -> Row:
    row = {"item_id": item, "rank": rank, "similar_item_id": other, "score": score}
    return row | {"model_version": "m/1", "ds": DS}


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


GOOD: Final[dict[str, list[Row]]] = {
    "events": [event(number) for number in range(20)],
    "quarantine": [{"raw": "x", "rule": "bad_price", "detail": "price=-1", "source_file": "f.csv", "ds": DS}],
    "reconciliation": [
        outcome("rows_in", 22),
        outcome("event", 20),
        outcome("quarantine", 1, "bad_price"),
        outcome("duplicate", 1, "exact"),
    ],
    "items": [item(name, category="tea") for name in ("i1", "i2", "i3", "i4")],
    "users": [{"user_key": "ann", "attributes": "{}", "first_seen": DS, "last_seen": DS, "ds": DS}],
    "splits": [split()],
    "sequences": [sequence("ann"), sequence("bob"), sequence("session:1", user_key=None)],
    "user_profiles": [profile("ann"), profile("bob", price_band=None)],
    "recommendations": [
        shelf("user_key", user, rank, f"i{rank + 1}", 1.0 - rank) for user in ("ann", "bob") for rank in (1, 2)
    ],
    "fallback_recommendations": [
        shelf("segment", name, rank, f"i{rank}", 1 / rank) for name in ("loyal", "everyone") for rank in (1, 2)
    ],
    "similar_items": [similar("i1", 1, "i2", 0.9), similar("i1", 2, "i3", 0.9)],
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
    "recently_purchased": ("user_key string, item_id string", [("ann", "i1"), ("bob", "i1")]),
    "shelves_due": ("user_key string, rows_due int", [("ann", 2), ("bob", 2)]),
    "shelf_rules": (
        "item_id string, allowed boolean, replenishable boolean",
        [("i1", True, False), ("i2", True, False), ("i3", True, False), ("i4", True, False), ("out", False, False)],
    ),
    "opt_outs": ("user_key string, item_id string", [("ann", "i4"), ("zoe", None)]),
    "shelf_arms": ("arm string, by_score boolean", [("control", True), ("mixed", False)]),
    "manifest_facts": ("name string, value string", [("intent_auc", "0.7"), ("intent_log_loss", "0.5")]),
}
"""Columns and rows of what the gate derives from the manifest."""
CRITICAL: Final = "critical"
PARTS: Final = ("train_events", "validation_events", "test_events")
SEQUENCE_RULES: Final = ("item_ids", "timestamps", "event_types", "sequence_key")

DEFECTS: Final[dict[str, Defect]] = {
    "event values": Defect(
        "events",
        [
            event(1),
            event(1, event_type="teleport"),
            event(2, ts=NOON.replace(day=19)),
            event(3, arrived=date(2026, 11, 19)),
            event(4, item_id=None),
            event(5, price=float("nan")),
            event(6, quantity=0.0),
            event(7, dwell_seconds=1e6, position=0, user_key=None),
            event(8, ds=None),
        ],
        {(c, CRITICAL) for c in ("ds, event_id", "event_type", "ts", "arrived", "item_id", "price", "quantity", "ds")}
        | {("dwell_seconds", "warning"), ("position", "warning"), ("user_key", "warning")},
    ),
    "no events": Defect("events", [], {("*", CRITICAL)}),
    "quarantine without a rule": Defect(
        "quarantine", [{"raw": "x" * 10_001, "source_file": "f", "ds": DS}], {("rule", CRITICAL), ("raw", "warning")}
    ),
    "rows that add up to nothing": Defect(
        "reconciliation",
        [outcome("rows_in", 5), outcome("lost", -1), outcome("event", 20), outcome("event", 20)],
        {("ds, outcome, rule", CRITICAL), ("outcome", CRITICAL), ("rows", CRITICAL)},
    ),
    "six of ten rows refused": Defect(
        "reconciliation",
        [outcome("rows_in", 35), outcome("event", 20), outcome("quarantine", 15, "unmapped"), outcome("duplicate", 0)],
        {("rows", CRITICAL), ("rows", "warning")},
    ),
    "item twice, of tomorrow": Defect(
        "items",
        [item("i1", title=None), item("i1", title=None, first_seen=date(2026, 11, 21)), item("i2", price=-1.0)],
        {("ds, item_id", CRITICAL), ("first_seen", CRITICAL), ("price", CRITICAL), ("title", "warning")},
    ),
    "user twice, last seen tomorrow": Defect(
        "users",
        [{"user_key": "ann", "first_seen": DS, "last_seen": date(2026, 11, 21), "ds": DS}] * 2,
        {("ds, user_key", CRITICAL), ("last_seen", CRITICAL)},
    ),
    "cut-offs in the wrong order": Defect(
        "splits",
        [split(strategy="random", train_end=NOON, validation_end=NOON, train_events=9000, test_events=0)],
        {("strategy", CRITICAL), ("test_events", CRITICAL)},
    ),
    "shares off by more than 1 %": Defect(
        "splits",
        [split(train_events=6300, validation_events=1850, test_events=1850, train_end=NOON, netted_purchases=-1)],
        {(c, CRITICAL) for c in ("train_end", *PARTS, "netted_purchases")},
    ),
    "broken histories": Defect(
        "sequences",
        [
            sequence("ann", event_types=["view", "cancellation"]),
            sequence("bob", days=(19, 12, 5)),
            sequence("bob", timestamps=[MICROS, MICROS, MICROS + 86_400_000_000]),
            sequence("cleo", user_key="dan", item_ids=["gone"] * 3),
        ],
        {(column, CRITICAL) for column in (*SEQUENCE_RULES, "ds, sequence_key")} | {("item_ids", "warning")},
    ),
    "more events than were split": Defect(
        "sequences",
        [sequence(f"u{number}", days=(5,) * 5000) for number in range(3)],
        {("timestamps", CRITICAL)},
    ),
    "profile out of bounds": Defect(
        "user_profiles",
        [
            profile("ann", recency_days=-1, frequency=0, events=0, monetary=float("inf"), price_band=None),
            profile(
                "ann",
                preferred_hours=[9, 24],
                price_band=None,
                top_categories=["a", "b"],
                category_interest=[0.4, 0.6],
                top_brands=list("abcdef"),
                brand_interest=[0.1] * 6,
                rfm="016",
                cluster=0,
            ),
            profile("cleo", segment=None, price_band="cheap"),
        ],
        {(c, CRITICAL) for c in ("recency_days", "frequency", "events", "monetary", "preferred_hours", "price_band")}
        | {(c, CRITICAL) for c in ("top_categories", "top_brands", "segment", "ds, user_key", "rfm", "cluster")}
        | {("user_key", CRITICAL)}
        | {("price_band", "warning")},
    ),
    "shelf with gaps, repeats and strangers": Defect(
        "recommendations",
        [
            shelf("user_key", "ann", 1, "i2", 0.1),
            shelf("user_key", "ann", 3, "i2", 0.2, reason=" "),
            shelf("user_key", "bob", 1, "gone", float("nan")),
            shelf("user_key", "eve", 1, "i2", 0.1),
        ],
        {("rank", CRITICAL), ("score", CRITICAL), ("item_id", CRITICAL), ("user_key", CRITICAL), ("reason", "warning")},
    ),
    "shelf with what the shop or the shopper does not want": Defect(
        "recommendations",
        [
            shelf("user_key", "ann", 1, "i4", 2.0),
            shelf("user_key", "ann", 2, "i2", 1.0),
            shelf("user_key", "bob", 1, "i2", 2.0, arm="unheard"),
            shelf("user_key", "bob", 2, "i3", 1.0, arm="unheard"),
        ],
        {("item_id", CRITICAL), ("arm", CRITICAL)},
    ),
    "shelf with what was just bought": Defect(
        "recommendations",
        [shelf("user_key", u, rank, f"i{rank}", 1.0) for u in ("ann", "bob") for rank in (1, 2)],
        {("item_id", CRITICAL)},
    ),
    "fallback without everyone": Defect(
        "fallback_recommendations",
        [
            shelf("segment", "loyal", 1, "gone", 1.2),
            shelf("segment", "loyal", 1, "i2", 1.2),
            shelf("segment", "loyal", 3, "i3", 1.3),
        ],
        {("segment", CRITICAL), ("ds, segment, rank", CRITICAL)}
        | {("rank", CRITICAL), ("score", CRITICAL), ("item_id", CRITICAL), ("score", "warning")},
    ),
    "item similar to itself": Defect(
        "similar_items",
        [similar("i1", 1, "i1", 0.1), similar("i1", 2, "gone", 1.1), similar("i2", 2, "i3", 0.1)],
        {("similar_item_id", CRITICAL), ("score", CRITICAL), ("rank", CRITICAL)},
    ),
    "search that shows what is out of stock, to somebody who wants nothing": Defect(
        "search_results",
        [
            result("zoe", 1, "i2", 0.02),
            result("zoe", 3, "out", 0.06, reason=""),
            result("ann", 1, "i2", 0.02, query="rug"),
            result(None, 1, "i3", 0.02, query="rug"),
        ],
        {(c, CRITICAL) for c in ("score", "rank", "item_id", "query", "user_key")} | {("reason", "warning")},
    ),
    "suggestions that do not fit": Defect(
        "search_suggestions",
        [suggestion("r", 1, "tea", 1), suggestion("r", 3, "rug", 2), suggestion("s", 1, "soap", 0)],
        {("prefix", CRITICAL), ("rank", CRITICAL), ("searches", CRITICAL)},
    ),
    "intent of half the shoppers, beyond certainty": Defect(
        "purchase_intent",
        [intent("ann", "any", 1.2), intent("bob", "tea", float("nan")), intent("bob", "tea", 0.1)],
        {("probability", CRITICAL), ("user_key", CRITICAL), ("ds, user_key, category", CRITICAL)},
    ),
    "audience of buyers and of things unknown": Defect(
        "audiences",
        [
            audience("item", "i1", 1, "ann", -2.0),
            audience("item", "i1", 3, "zoe", -1.0),
            audience("item", "out", 1, "bob", -1.0),
            audience("brand", "tea", 1, "bob", float("inf")),
        ],
        {(c, CRITICAL) for c in ("target_type", "score", "rank", "target", "user_key")},
    ),
    "demand of half the catalog, beyond its own interval": Defect(
        "demand_outlook",
        [demand("i1", 7, -1.0), demand("i1", 7), demand("i2", 8, 5.0), demand("i3", 7), demand("i3", 14)],
        {(c, CRITICAL) for c in ("expected", "low", "horizon_days", "item_id", "ds, item_id, horizon_days")},
    ),
}
