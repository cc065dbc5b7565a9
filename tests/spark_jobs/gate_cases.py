"""Defects of each table, for the tests of the gates."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from tests.spark_jobs.gate_rows import (
    DS,
    GOOD,
    MICROS,
    NOON,
    Row,
    audience,
    demand,
    event,
    following,
    intent,
    item,
    outcome,
    profile,
    result,
    sequence,
    shelf,
    similar,
    split,
    suggestion,
)


@dataclass(frozen=True)
class Defect:
    """Rows that break rules of one table; `expected` holds the (column, severity) of the findings."""

    table: str
    rows: list[Row]
    expected: set[tuple[str, str]]


CRITICAL: Final = "critical"
PARTS: Final = ("train_events", "validation_events", "test_events")
SEQUENCE_RULES: Final = ("item_ids", "timestamps", "event_types", "sequence_key", "queries")

DEFECTS: Final[dict[str, Defect]] = {
    "events of a user who is a placeholder": Defect(
        "events", [event(1), event(2, user_key="Undefined")], {("user_key", "warning")}
    ),
    "events of a user with a sixth of all": Defect(
        "events", [event(n, user_key=f"u{n % 100}" if n < 100 else "u7") for n in range(120)], {("user_key", "warning")}
    ),
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
            event(9, rating=float("inf")),
        ],
        {(c, CRITICAL) for c in ("ds, event_id", "event_type", "ts", "arrived", "item_id", "price", "quantity", "ds")}
        | {("rating", CRITICAL)}
        | {("dwell_seconds", "warning"), ("position", "warning"), ("user_key", "warning")},
    ),
    "quarantine without a rule": Defect(
        "quarantine", [{"raw": "x" * 10_001, "source_file": "f", "ds": DS}], {("rule", CRITICAL), ("raw", "warning")}
    ),
    "rows that add up to nothing": Defect(
        "reconciliation",
        [outcome("rows_in", 5), outcome("lost", -1), outcome("event", 20), outcome("event", 20)],
        {("ds, outcome, rule", CRITICAL), ("outcome", CRITICAL), ("rows", CRITICAL)},
    ),
    "rows that are not in the staged tables": Defect(
        "reconciliation",
        [
            *(outcome(*one) for one in (("rows_in", 35), ("event", 20), ("duplicate", 14), ("quarantine", 1))),
            *(outcome(*one) for one in (("users_in", 20), ("users_accepted", 19), ("users_quarantine", 1))),
        ],
        {("rows", CRITICAL)},
    ),
    "a catalog that does not add up": Defect(
        "reconciliation",
        [*GOOD["reconciliation"], outcome("items_in", 9), outcome("items_accepted", 5), outcome("items_duplicate", 3)],
        {("rows", CRITICAL)},
    ),
    "item twice, of tomorrow": Defect(
        "items",
        [item("i1", title=None), item("i1", title=None, first_seen=date(2026, 11, 21)), item("i2", price=-1.0)],
        {("ds, item_id", CRITICAL), ("first_seen", CRITICAL), ("price", CRITICAL), ("title", "warning")},
    ),
    "a catalog of what changed": Defect(
        "items",
        [item("i1", listed=True), item("i2", listed=False), item("i3", listed=False), item("i4")],
        {("listed", "warning")},
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
        {(c, CRITICAL) for c in ("train_end", "train_events", "test_events", "netted_purchases")}
        | {(", ".join(PARTS), "warning")},
    ),
    "the nearest split to 6:2:2, which is not near": Defect(
        "splits",
        [split(train_events=5000, validation_events=3000, train_end_ties=2600, validation_end_ties=1)],
        {(", ".join(PARTS), "warning")},
    ),
    "a split beside which there is a nearer one": Defect(
        "splits",
        [split(train_events=7600, validation_events=400, train_end_ties=2600, validation_end_ties=1)],
        {("train_end, validation_end", CRITICAL), (", ".join(PARTS), "warning")},
    ),
    "broken histories": Defect(
        "sequences",
        [
            sequence("ann", event_types=["view", "impression"]),
            sequence("bob", days=(19, 12, 5), queries=["", "", ""]),
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
    "no profiles": Defect("user_profiles", [], {("*", CRITICAL), ("user_key", CRITICAL)}),
    "no shelves": Defect("recommendations", [], {("*", CRITICAL), ("user_key", CRITICAL)}),
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
    "shelf with what the shop or the user does not want": Defect(
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
    "fallback of the segments that have users": Defect(
        "fallback_recommendations",
        [shelf("segment", name, rank, f"i{rank}", 1 / rank) for name in ("loyal", "everyone") for rank in (1, 2)],
        {("segment", CRITICAL)},
    ),
    "fallback shorter than asked for": Defect(
        "fallback_recommendations",
        [
            *(shelf("segment", "loyal", rank, f"i{rank}", 1 / rank) for rank in (1, 2)),
            shelf("segment", "everyone", 1, "i1", 1.0),
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
