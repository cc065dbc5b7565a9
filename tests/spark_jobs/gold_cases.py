"""Rows of the gold tables for the tests of the gates: a small valid frame of each, and defects."""

from typing import Final

from pipeline_tasks.tables.contracts import SEGMENTS
from tests.spark_jobs.gate_case import CRITICAL, DS, Defect, Row


def profile(user: str, **more: object) -> Row:
    row: Row = {"user_key": user, "segment": "loyal", "recency_days": 0, "frequency": 1, "monetary": 1.0, "events": 1}
    lists = {"top_categories": ["a"], "category_interest": [1.0], "top_brands": [], "brand_interest": []}
    lists |= {"price_band": "low", "preferred_hours": [9, 21], "rfm": "315", "cluster": 1}
    return row | lists | {"ds": DS} | more


def recommendation(owner: str, name: str, rank: int, item: str, score: float, **more: object) -> Row:
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


BESIDE: Final = {"i1": "23", "i2": "13", "i3": "12", "i4": "12", "out": "12"}
"""Two items beside each that has a vector; one may not be shown."""
GOOD: Final[dict[str, list[Row]]] = {
    "user_profiles": [profile("ann"), profile("bob", price_band=None)],
    "recommendations": [
        recommendation("user_key", user, rank, f"i{rank + 1}", 1.0 - rank) for user in ("ann", "bob") for rank in (1, 2)
    ],
    "fallback_recommendations": [
        recommendation("segment", name, rank, f"i{rank}", 1 / rank)
        for name in (*SEGMENTS, "everyone")
        for rank in (1, 2)
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

DEFECTS: Final[dict[str, Defect]] = {
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
    "no profiles": Defect("user_profiles", [], {("*", CRITICAL), ("user_key", CRITICAL)}),
    "no recommendations": Defect("recommendations", [], {("*", CRITICAL), ("user_key", CRITICAL)}),
    "recommendations with gaps, repeats and unknown users": Defect(
        "recommendations",
        [
            recommendation("user_key", "ann", 1, "i2", 0.1),
            recommendation("user_key", "ann", 3, "i2", 0.2, reason=" "),
            recommendation("user_key", "bob", 1, "gone", float("nan")),
            recommendation("user_key", "eve", 1, "i2", 0.1),
        ],
        {("rank", CRITICAL), ("score", CRITICAL), ("item_id", CRITICAL), ("user_key", CRITICAL), ("reason", "warning")},
    ),
    "recommendations that the shop or the user excluded": Defect(
        "recommendations",
        [
            recommendation("user_key", "ann", 1, "i4", 2.0),
            recommendation("user_key", "ann", 2, "i2", 1.0),
            recommendation("user_key", "bob", 1, "i2", 2.0, arm="unheard"),
            recommendation("user_key", "bob", 2, "i3", 1.0, arm="unheard"),
        ],
        {("item_id", CRITICAL), ("arm", CRITICAL)},
    ),
    "recommendations of recently bought items": Defect(
        "recommendations",
        [recommendation("user_key", u, rank, f"i{rank}", 1.0) for u in ("ann", "bob") for rank in (1, 2)],
        {("item_id", CRITICAL)},
    ),
    "fallback without everyone": Defect(
        "fallback_recommendations",
        [
            recommendation("segment", "loyal", 1, "gone", 1.2),
            recommendation("segment", "loyal", 1, "i2", 1.2),
            recommendation("segment", "loyal", 3, "i3", 1.3),
        ],
        {("segment", CRITICAL), ("ds, segment, rank", CRITICAL)}
        | {("rank", CRITICAL), ("score", CRITICAL), ("item_id", CRITICAL), ("score", "warning")},
    ),
    "fallback of the segments that have users": Defect(
        "fallback_recommendations",
        [
            recommendation("segment", name, rank, f"i{rank}", 1 / rank)
            for name in ("loyal", "everyone")
            for rank in (1, 2)
        ],
        {("segment", CRITICAL)},
    ),
    "fallback shorter than asked for": Defect(
        "fallback_recommendations",
        [
            *(recommendation("segment", "loyal", rank, f"i{rank}", 1 / rank) for rank in (1, 2)),
            recommendation("segment", "everyone", 1, "i1", 1.0),
        ],
        {("segment", CRITICAL)},
    ),
    "item similar to itself": Defect(
        "similar_items",
        [similar("i1", 1, "i1", 0.1), similar("i1", 2, "gone", 1.1), similar("i2", 2, "i3", 0.1)],
        {("similar_item_id", CRITICAL), ("score", CRITICAL), ("rank", CRITICAL), ("item_id", CRITICAL)},
    ),
    "next items that are the item, in no order, too few": Defect(
        "next_items",
        [following("i1", 1, "i1", 0.1), following("i1", 2, "out", float("inf")), following("i2", 1, "i3", 0.1)],
        {("next_item_id", CRITICAL), ("score", CRITICAL), ("item_id", CRITICAL)},
    ),
    "search results with an item out of stock, for a user who opted out": Defect(
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
    "intent of half the users, beyond certainty": Defect(
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
    "audience of a category whose items are all unwanted or just bought": Defect(
        "audiences",
        [
            # ann opted out of the only pot, and bob bought the only mug; bob may be shown the pot.
            audience("category", "pot", 1, "ann", -1.0),
            audience("category", "pot", 2, "bob", -2.0),
            audience("category", "mug", 1, "bob", -1.0),
        ],
        {("user_key", CRITICAL)},
    ),
    "demand of half the catalog, beyond its own interval": Defect(
        "demand_outlook",
        [demand("i1", 7, -1.0), demand("i1", 7), demand("i2", 8, 5.0), demand("i3", 7), demand("i3", 14)],
        {(c, CRITICAL) for c in ("expected", "low", "horizon_days", "item_id", "ds, item_id, horizon_days")},
    ),
}
