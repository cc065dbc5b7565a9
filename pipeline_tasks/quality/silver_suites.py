"""Suites of the tables that cleaning stages: events, quarantine, reconciliation, items, users."""

from itertools import chain
from typing import Final

from great_expectations.expectations.expectation import Expectation

from pipeline_tasks.config.settings import (
    HIGHEST_PRICE,
    HIGHEST_QUANTITY,
    HIGHEST_RATING,
    LONGEST_DWELL,
    MOST_RAW_CHARACTERS,
    MOST_WAITING_DAYS,
)
from pipeline_tasks.quality.gate_rules import between, contract_rules, in_set, no_rows_from, not_null, rows_satisfy
from pipeline_tasks.quality.rejected_shares import rejected_share_rules
from pipeline_tasks.tables.contracts import EVENT_TYPES
from pipeline_tasks.tables.silver_tables import CATALOG_OUTCOMES, EVENT_OUTCOMES, UNCLEANED, Outcomes
from pipeline_tasks.times import DAY, day_sql

GIANT_SHARE: Final = 0.05
MANY_USERS: Final = 100
"""Minimum number of users. In such a log, a user with a greater share of the events is a placeholder or a bot."""
PLACEHOLDERS: Final = (
    *("0", "-1", "undefined", "(not set)", "not set", "(none)", "(null)", "nil", "unknown", "anonymous", "guest"),
    *("not_authenticated", "true", "false", "[object object]", "distinct_id", "distinctid"),
    "00000000-0000-0000-0000-000000000000",
)
"""Ids that trackers write for unknown users, in lower case. They only give a warning: a shop may have a customer 0."""

# Integer arithmetic, because to_date(ts) converts the time zone of every row: half a second more for 18.8 million.
_WITHIN_DAY: Final = f"unix_micros(ts) BETWEEN unix_date(ds) * {DAY} AND unix_date(ds) * {DAY} + {DAY - 1}"
_MAPPING: Final = "Correct the source's mapping or its files, then run that day again."
_CLEANING: Final = "Cleaning lost or invented rows: run it again, and report it when the counts still differ."
_PARTS: Final = (*EVENT_OUTCOMES[1:], *UNCLEANED)
"""The outcomes that a landed row of events may have."""
_QUARANTINED: Final = ("quarantine", *(names.quarantine for names in CATALOG_OUTCOMES.values()))
_ROWS_OF: Final = "sum(CASE WHEN outcome = '{0}' THEN rows ELSE 0 END)"


def events_suite(zone: str | None = None) -> list[Expectation]:
    """Return the suite of `events`: one valid event per row. `zone` is the time zone of the shop's days."""
    # In a zone, a day may hold timestamps of two UTC days, so the UTC bounds of the footers prove nothing.
    within, in_order = (f"{day_sql('ts', zone)} = ds", ()) if zone else (_WITHIN_DAY, ("ds", "ts", "ds"))
    return [
        *contract_rules("events"),
        in_set("event_type", EVENT_TYPES, _MAPPING),
        rows_satisfy("ts lies within the day ds", within, "ts", _MAPPING, in_order=in_order),
        rows_satisfy(
            f"an event arrives at most {MOST_WAITING_DAYS} days before its day",
            f"date_add(arrived, {MOST_WAITING_DAYS}) >= ds",
            "arrived",
            _MAPPING,
            in_order=("ds", "arrived"),
        ),
        rows_satisfy(
            "only a search may come without an item",
            "event_type = 'search' OR item_id IS NOT NULL",
            "item_id",
            _MAPPING,
            any_given=("item_id",),
        ),
        between("price", 0, HIGHEST_PRICE, _MAPPING),
        between("quantity", 0, HIGHEST_QUANTITY, _MAPPING, above_low=True),
        between("dwell_seconds", 0, LONGEST_DWELL, _MAPPING, "warning"),
        between("position", 1, None, _MAPPING, "warning"),
        between("rating", -HIGHEST_RATING, HIGHEST_RATING, _MAPPING),
        rows_satisfy(
            "an event belongs to a user or a session",
            "user_key IS NOT NULL OR session_id IS NOT NULL",
            "user_key",
            "Map user_key or session_id: without one, an event counts only for popularity.",
            "warning",
            any_given=("user_key", "session_id"),
        ),
        _no_giant_user(),
    ]


def quarantine_suite() -> list[Expectation]:
    """Return the suite of `quarantine`: one rejected record per row."""
    return [
        *contract_rules("quarantine"),
        rows_satisfy(
            f"raw text is kept, cut at {MOST_RAW_CHARACTERS:,} characters",
            f"length(raw) <= {MOST_RAW_CHARACTERS}",
            "raw",
            _CLEANING,
            "warning",
        ),
    ]


def reconciliation_suite() -> list[Expectation]:
    """Return the suite of `reconciliation`: the outcomes of each day's rows, compared with the staged tables."""
    return [
        *contract_rules("reconciliation"),
        in_set("outcome", ("rows_in", *_PARTS, *chain(*CATALOG_OUTCOMES.values())), _CLEANING),
        between("rows", 0, None, _CLEANING),
        _balanced(),
        *(_catalog_balanced(kind, names) for kind, names in CATALOG_OUTCOMES.items()),
        _as_staged(("event",), "events"),
        _as_staged(_QUARANTINED, "quarantine"),
        *rejected_share_rules(),
    ]


def items_suite() -> list[Expectation]:
    """Return the suite of `items`, the catalog."""
    return [
        *contract_rules("items"),
        rows_satisfy(
            "an item is not first seen after ds",
            "first_seen <= ds",
            "first_seen",
            _MAPPING,
            in_order=("first_seen", "ds"),
        ),
        between("price", 0, HIGHEST_PRICE, _MAPPING),
        not_null("title", "Map items.title: recommendations will show ids instead of titles.", "warning", 0.5),
        no_rows_from(
            "no more items have left the catalog since earlier runs than are in it",
            "SELECT delisted, listed FROM (SELECT count_if(NOT listed) AS delisted, count_if(listed) AS listed "
            "FROM {batch}) WHERE delisted > listed",
            "listed",
            "Items that left the catalog are not shown: deliver the whole catalog for each run, not only changes.",
            "warning",
            shared_sql=True,
        ),
        _matched("items", "items of the events are in the catalog, in one spelling", "item_id"),
    ]


def users_suite() -> list[Expectation]:
    """Return the suite of `users`: their attributes."""
    return [
        *contract_rules("users"),
        rows_satisfy(
            "first_seen <= last_seen <= ds", "first_seen <= last_seen AND last_seen <= ds", "last_seen", _MAPPING
        ),
        _matched("users", "users of the events are in the list of users, in one spelling", "user_key"),
    ]


def _no_giant_user() -> Expectation:
    listed = ", ".join(f"'{name}'" for name in PLACEHOLDERS)
    query = (
        "SELECT user_key, events, total FROM (SELECT user_key, count(*) AS events, sum(count(*)) OVER () AS total, "
        "count(*) OVER () AS users FROM {batch} WHERE user_key IS NOT NULL GROUP BY user_key) "
        f"WHERE lower(user_key) IN ({listed}) OR (users >= {MANY_USERS} AND events > {GIANT_SHARE} * total) "
        "ORDER BY events DESC"
    )
    remedy = (
        "Events without a user need a NULL: user_key = \"CASE WHEN user <> 'undefined' THEN user END\" makes them "
        "anonymous."
    )
    return no_rows_from(
        f"no user is a placeholder, and none has more than {GIANT_SHARE:.0%} of the events",
        query,
        "user_key",
        remedy,
        "warning",
        shared_sql=True,
    )


def _matched(table: str, description: str, column: str) -> Expectation:
    query = (
        f"SELECT value AS ids FROM manifest_facts WHERE name = 'unmatched_{table}' AND EXISTS (SELECT 1 FROM {{batch}})"
    )
    return no_rows_from(
        description, query, column, f"Make both ids the same in the mapping of events or of {table}.", "warning"
    )


def _balanced() -> Expectation:
    parts = " + ".join(_ROWS_OF.format(name) for name in _PARTS)
    rows_in = _ROWS_OF.format("rows_in")
    query = (
        f"SELECT ds, {rows_in} AS rows_in, {parts} AS accounted FROM {{batch}} GROUP BY ds HAVING {rows_in} <> {parts}"
    )
    return no_rows_from(
        "rows_in = events + quarantine + duplicates + forgotten + waiting + before_window, each day, to the row",
        query,
        "rows",
        _CLEANING,
        shared_sql=True,
    )


def _catalog_balanced(kind: str, names: Outcomes) -> Expectation:
    rows_in = _ROWS_OF.format(names.rows_in)
    parts = " + ".join(_ROWS_OF.format(name) for name in names[1:])
    query = (
        f"SELECT ds, {rows_in} AS rows_in, {parts} AS accounted FROM {{batch}} GROUP BY ds HAVING {rows_in} <> {parts}"
    )
    description = f"the {kind} that came in = accepted + quarantine + duplicates + forgotten, each day, to the row"
    return no_rows_from(description, query, "rows", _CLEANING, shared_sql=True)


def _as_staged(outcomes: tuple[str, ...], table: str) -> Expectation:
    listed = ", ".join(f"'{outcome}'" for outcome in outcomes)
    query = (
        "SELECT ds, reported, staged FROM "
        f"(SELECT ds, sum(rows) AS reported FROM {{batch}} WHERE outcome IN ({listed}) GROUP BY ds) "
        f"FULL JOIN (SELECT ds, sum(rows) AS staged FROM staged_rows WHERE name = '{table}' GROUP BY ds) "
        f"USING (ds) WHERE coalesce(reported, 0) <> coalesce(staged, 0)"
    )
    description = f"rows of outcome {', '.join(outcomes)} = rows staged in {table}, each day"
    return no_rows_from(description, query, "rows", _CLEANING, shared_sql=True)
