"""What the page Browse shows of a user, an item or a query on one day."""

from datetime import date, timedelta
from typing import Any, Final

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Days
from pipeline_tasks.pages.table_reader import Row, TableReader, open_tables

MOST_HISTORY: Final = 40
MOST_MATCHES: Final = 20
PURCHASE_DAYS: Final = 30
"""Days of events that the list of an item's buyers reads."""
_ITEM_FACTS: Final = "i.title, i.category"
_LISTED: Final = f"""
SELECT t.rank, t.{{other}} AS item_id, t.score, {_ITEM_FACTS} FROM {{table}} t
LEFT JOIN items i ON i.item_id = t.{{other}} AND i.ds = t.ds
WHERE t.ds = $ds AND t.item_id = $item ORDER BY t.rank LIMIT 20
"""
_RECOMMENDED: Final = f"""
SELECT r.ds, r.rank, r.item_id, r.score, r.reason, r.arm, r.model_version, {_ITEM_FACTS} FROM recommendations r
LEFT JOIN items i ON i.item_id = r.item_id AND i.ds = r.ds
WHERE r.user_key = $user ORDER BY r.ds DESC, r.rank LIMIT 200
"""
_HISTORY: Final = f"""
WITH history AS (
    SELECT unnest(item_ids) AS item_id, unnest(event_types) AS event_type, unnest(timestamps) AS microseconds
    FROM sequences WHERE ds = $ds AND sequence_key = $user)
SELECT h.item_id, h.event_type, make_timestamp(h.microseconds) AS happened, {_ITEM_FACTS} FROM history h
LEFT JOIN items i ON i.item_id = h.item_id AND i.ds = $ds
ORDER BY h.microseconds DESC LIMIT {MOST_HISTORY}
"""
_FALLBACK: Final = f"""
SELECT f.ds, f.rank, f.item_id, f.score, f.reason, NULL AS arm, f.model_version, {_ITEM_FACTS}
FROM fallback_recommendations f LEFT JOIN items i ON i.item_id = f.item_id AND i.ds = f.ds
WHERE f.ds = $ds AND f.segment = 'everyone' ORDER BY f.rank LIMIT 20
"""
_RESULTS: Final = f"""
SELECT r.rank, r.item_id, r.score, r.reason, {_ITEM_FACTS} FROM search_results r
LEFT JOIN items i ON i.item_id = r.item_id AND i.ds = r.ds
WHERE r.ds = $ds AND r.query = $query AND r.user_key IS NULL ORDER BY r.rank LIMIT 20
"""
_SUGGESTED: Final = (
    "SELECT query, searches FROM search_suggestions WHERE ds = $ds AND prefix = $prefix ORDER BY rank LIMIT 10"
)


def show_user(settings: Settings, source: str, ds: date, before: date | None, user: str) -> dict[str, Any]:
    """Return profile, history, and the recommendations of `ds` and of the day `before` it, by name of the template.

    A user without recommendations of their own gets those for everyone, and `fallback` is true. For a key that no
    profile has, `matches` lists users whose key begins with it.
    """
    tables: dict[str, Days | None] = dict.fromkeys(
        ("user_profiles", "sequences", "purchase_intent", "fallback_recommendations"), (ds, ds)
    )
    tables |= dict.fromkeys(("items", "recommendations"), (before or ds, ds))
    given = {"ds": ds, "user": user}
    with open_tables(settings, source, tables) as reader:
        profile = _one(reader, "SELECT * FROM user_profiles WHERE ds = $ds AND user_key = $user", given)
        recommended = reader.rows(_RECOMMENDED, {"user": user})
        tonight = [row for row in recommended if row["ds"] == ds]
        earlier = {row["item_id"]: row["rank"] for row in recommended if row["ds"] == before}
        listed = tonight or reader.rows(_FALLBACK, {"ds": ds})
        return {
            "user": user,
            "profile": profile,
            "intent": _one(reader, _intent_query(), given),
            "history": reader.rows(_HISTORY, given),
            "listed": [row | {"earlier": earlier.get(row["item_id"])} for row in listed],
            "earlier": [row for row in recommended if row["ds"] == before],
            "fallback": not tonight,
            "matches": [] if profile or tonight else _users_like(reader, ds, user),
        }


def show_item(settings: Settings, source: str, ds: date, item: str) -> dict[str, Any]:
    """Return an item with its neighbors, audience, outlook and buyers; `matches` for a text that is no item's id."""
    names = ("items", "similar_items", "next_items", "audiences", "demand_outlook")
    tables: dict[str, Days | None] = dict.fromkeys(names, (ds, ds))
    tables["events"] = (ds - timedelta(days=PURCHASE_DAYS - 1), ds)
    given = {"ds": ds, "item": item}
    with open_tables(settings, source, tables) as reader:
        found = _one(reader, "SELECT * FROM items WHERE ds = $ds AND item_id = $item", given)
        if found is None:
            return {"item": item, "facts": None, "matches": _items_like(reader, ds, item)}
        return {
            "item": item,
            "facts": found,
            "similar": reader.rows(_LISTED.format(table="similar_items", other="similar_item_id"), given),
            "next": reader.rows(_LISTED.format(table="next_items", other="next_item_id"), given),
            "audience": reader.rows(
                "SELECT rank, user_key, score FROM audiences WHERE ds = $ds AND target_type = 'item' "
                "AND target = $item ORDER BY rank LIMIT 10",
                given,
            ),
            "outlook": reader.rows(
                "SELECT horizon_days, expected, low, high FROM demand_outlook WHERE ds = $ds AND item_id = $item "
                "ORDER BY horizon_days LIMIT 5",
                given,
            ),
            "buyers": reader.rows(
                "SELECT user_key, max(ts) AS happened, sum(quantity) AS quantity FROM events WHERE item_id = $item "
                "AND event_type = 'purchase' AND user_key IS NOT NULL GROUP BY user_key "
                "ORDER BY happened DESC LIMIT 20",
                {"item": item},
            ),
            "matches": [],
        }


def show_query(settings: Settings, source: str, ds: date, query: str) -> dict[str, Any]:
    """Return the results of a query for everyone, and the suggestions for what was typed."""
    text = query.strip().lower()
    with open_tables(settings, source, dict.fromkeys(("items", "search_results", "search_suggestions"), (ds, ds))) as r:
        results = r.rows(_RESULTS, {"ds": ds, "query": text})
        return {"query": text, "results": results, "suggestions": _suggestions(r, ds, text)}


def suggest_queries(settings: Settings, source: str, ds: date, prefix: str) -> list[str]:
    """Return the queries to offer while a user types."""
    with open_tables(settings, source, {"search_suggestions": (ds, ds)}) as reader:
        return [row["query"] for row in _suggestions(reader, ds, prefix.strip().lower())]


def random_user(settings: Settings, source: str, ds: date) -> str | None:
    """Return the key of a random user with a profile, or None where no user is known."""
    with open_tables(settings, source, {"user_profiles": (ds, ds)}) as reader:
        row = _one(reader, "SELECT user_key FROM user_profiles WHERE ds = $ds USING SAMPLE 1", {"ds": ds})
        return row["user_key"] if row else None


def _one(reader: TableReader, sql: str, given: dict[str, Any]) -> Row | None:
    return next(iter(reader.rows(sql, {name: value for name, value in given.items() if f"${name}" in sql})), None)


def _intent_query() -> str:
    return "SELECT probability FROM purchase_intent WHERE ds = $ds AND user_key = $user AND category = 'any'"


def _users_like(reader: TableReader, ds: date, text: str) -> list[Row]:
    return reader.rows(
        "SELECT user_key, segment, events FROM user_profiles WHERE ds = $ds AND starts_with(user_key, $text) "
        f"ORDER BY events DESC, user_key LIMIT {MOST_MATCHES}",
        {"ds": ds, "text": text},
    )


def _items_like(reader: TableReader, ds: date, text: str) -> list[Row]:
    # contains() takes the text as it is; LIKE would read % and _ in it as patterns.
    return reader.rows(
        "SELECT item_id, title, category FROM items WHERE ds = $ds AND (contains(lower(title), lower($text)) "
        f"OR starts_with(item_id, $text)) ORDER BY title, item_id LIMIT {MOST_MATCHES}",
        {"ds": ds, "text": text},
    )


def _suggestions(reader: TableReader, ds: date, prefix: str) -> list[Row]:
    return reader.rows(_SUGGESTED, {"ds": ds, "prefix": prefix})
