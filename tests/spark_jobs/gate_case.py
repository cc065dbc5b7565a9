"""What a case of the tests of the gates is, and the views beside the tables."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

DS: Final = date(2026, 11, 20)
NOON: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
MICROS: Final = int(NOON.timestamp()) * 1_000_000
CRITICAL: Final = "critical"
Row = dict[str, Any]


@dataclass(frozen=True)
class Defect:
    """Rows that break rules of one table; `expected` holds the (column, severity) of the findings."""

    table: str
    rows: list[Row]
    expected: set[tuple[str, str]]


VIEWS: Final[dict[str, tuple[str, list[tuple[Any, ...]]]]] = {
    "staged_rows": ("name string, ds date, rows long", [("events", DS, 20), ("quarantine", DS, 1)]),
    "already_taken": ("user_key string, item_id string", [("ann", "i1"), ("bob", "i1")]),
    "rows_due_by_user": ("user_key string, rows_due int", [("ann", 2), ("bob", 2)]),
    "item_rules": (
        "item_id string, allowed boolean, replenishable boolean",
        [("i1", True, False), ("i2", True, False), ("i3", True, False), ("i4", True, False), ("out", False, False)],
    ),
    "opt_outs": ("user_key string, item_id string", [("ann", "i4"), ("zoe", None)]),
    "arms": ("arm string, by_score boolean", [("control", True), ("mixed", False)]),
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
