"""Draws what the page Browse shows in a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline_tasks.lake.lake_sql import for_terminal, write_rows

_RANKED: Final = ("rank", "title", "item_id", "score")
_TABLES: Final[Mapping[str, tuple[str, Sequence[str]]]] = {
    "history": ("History, newest first", ("happened", "event_type", "title", "item_id")),
    "listed": ("Recommendations", (*_RANKED, "reason")),
    "similar": ("Similar items", _RANKED),
    "next": ("What is likely wanted after it", _RANKED),
    "audience": ("Users to whom it should be shown", ("rank", "user_key", "score")),
    "buyers": ("Who bought it", ("happened", "user_key", "quantity")),
    "outlook": ("Purchases to expect", ("horizon_days", "expected", "low", "high")),
    "results": ("Results", (*_RANKED, "reason")),
    "suggestions": ("Suggestions", ("query", "searches")),
}
"""Heading and columns of each list, in the order in which they are drawn."""
_FACTS: Final = ("segment", "events", "recency_days", "top_categories", "title", "category", "brand", "price")


def print_found(found: Mapping[str, Any]) -> None:
    """Print what a function of `browse` has found: facts in one line, then a table for each list that has rows."""
    facts = found.get("profile") or found.get("facts") or {}
    shown = [f"{name} {_cell(facts[name])}" for name in _FACTS if facts.get(name) not in (None, [])]
    if shown:
        print(for_terminal(", ".join(shown)))
    if found.get("fallback"):
        print("This user has no recommendations of their own; these are for everyone.")
    for name, (heading, columns) in _TABLES.items():
        if rows := found.get(name):
            print(f"\n{heading}")
            write_rows(list(columns), [tuple(_cell(row[column]) for column in columns) for row in rows], "table")


def known_ids(found: Mapping[str, Any]) -> list[str]:
    """Return the ids that resemble an unknown one."""
    return [str(row[name]) for row in found.get("matches", []) for name in ("user_key", "item_id") if name in row]


def _cell(value: object) -> object:
    """Return a score with three digits, a list as text, and a time to the second."""
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    return f"{value:%Y-%m-%d %H:%M:%S}" if hasattr(value, "hour") else value
