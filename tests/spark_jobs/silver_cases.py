"""Rows of the silver tables for the tests of the gates: a small valid frame of each, and defects."""

from datetime import date
from typing import Final

from tests.spark_jobs.gate_case import CRITICAL, DS, MICROS, NOON, Defect, Row

PARTS: Final = ("train_events", "validation_events", "test_events")
SEQUENCE_RULES: Final = ("item_ids", "timestamps", "event_types", "sequence_key", "queries")


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
    "items": [item(name, category=kind) for name, kind in (("i1", "mug"), ("i2", "tea"), ("i3", "tea"), ("i4", "pot"))],
    "users": [{"user_key": "ann", "attributes": "{}", "first_seen": DS, "last_seen": DS, "ds": DS}],
    "splits": [split()],
    "sequences": [
        sequence("ann", queries=["", "tea", ""], last_query="rug"),
        sequence("bob"),
        sequence("session:1", user_key=None),
    ],
}

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
}
