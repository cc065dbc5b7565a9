"""Suites of the tables that cleaning stages: events, quarantine, reconciliation, items, users."""

from itertools import chain
from typing import Final

from great_expectations.expectations.expectation import Expectation

from pipeline_tasks.config.value_bounds import (
    HIGHEST_PRICE,
    HIGHEST_QUANTITY,
    HIGHEST_RATING,
    LONGEST_DWELL,
    MOST_RAW_CHARACTERS,
    MOST_WAITING_DAYS,
)
from pipeline_tasks.local_days import day_sql
from pipeline_tasks.quality.contract_rules import contract_rules
from pipeline_tasks.quality.gate_rules import between, finds_nothing, in_set, not_null, satisfies
from pipeline_tasks.quality.rejected_shares import refused_share_rules
from pipeline_tasks.tables.contracts import EVENT_TYPES
from pipeline_tasks.tables.reconciliation_outcomes import CATALOGS, EVENTS, UNCLEANED, Outcomes
from pipeline_tasks.time_units import DAY

GIANT_SHARE: Final = 0.05
MANY_USERS: Final = 100
"""Above this share of the events, in a log of so many users, a user is no person but a placeholder or a robot."""
PLACEHOLDERS: Final = (
    *("0", "-1", "undefined", "(not set)", "not set", "(none)", "(null)", "nil", "unknown", "anonymous", "guest"),
    *("not_authenticated", "true", "false", "[object object]", "distinct_id", "distinctid"),
    "00000000-0000-0000-0000-000000000000",
)
"""What trackers write where they know nobody (lower case). A warning names them: a shop may have a customer 0."""

# In whole numbers: to_date(ts) asks for the time zone of every row, half a second more of 18.8 million.
_WITHIN_DAY: Final = f"unix_micros(ts) BETWEEN unix_date(ds) * {DAY} AND unix_date(ds) * {DAY} + {DAY - 1}"
_MAPPING: Final = "Correct the source's mapping or its files, then run the night again."
_CLEANING: Final = "Cleaning lost or invented rows: run it again, and report it when the counts still differ."
_PARTS: Final = (*EVENTS[1:], *UNCLEANED)
"""What a landed row of events may become."""
_REFUSED: Final = ("quarantine", *(names.quarantine for names in CATALOGS.values()))
_OUTCOMES: Final = "sum(CASE WHEN outcome = '{0}' THEN rows ELSE 0 END)"


def events_suite(zone: str | None = None) -> list[Expectation]:
    """One valid event per row; `zone` is that of the shop's days."""
    # A day of the zone may hold moments of two days in UTC, of which the footers tell.
    within, in_order = (f"{day_sql('ts', zone)} = ds", ()) if zone else (_WITHIN_DAY, ("ds", "ts", "ds"))
    return [
        *contract_rules("events"),
        in_set("event_type", EVENT_TYPES, _MAPPING),
        satisfies("ts lies within the day ds", within, "ts", _MAPPING, in_order=in_order),
        satisfies(
            f"an event arrives at most {MOST_WAITING_DAYS} days before its day",
            f"date_add(arrived, {MOST_WAITING_DAYS}) >= ds",
            "arrived",
            _MAPPING,
            in_order=("ds", "arrived"),
        ),
        satisfies(
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
        satisfies(
            "an event belongs to a user or a session",
            "user_key IS NOT NULL OR session_id IS NOT NULL",
            "user_key",
            "Map user_key or session_id: such an event teaches popularity only.",
            "warning",
            any_given=("user_key", "session_id"),
        ),
        _no_giant_user(),
    ]


def quarantine_suite() -> list[Expectation]:
    """One refused record per row."""
    return [
        *contract_rules("quarantine"),
        satisfies(
            f"raw text is kept, cut at {MOST_RAW_CHARACTERS:,} characters",
            f"length(raw) <= {MOST_RAW_CHARACTERS}",
            "raw",
            _CLEANING,
            "warning",
        ),
    ]


def reconciliation_suite() -> list[Expectation]:
    """What became of a day's rows, held against the staged tables themselves."""
    return [
        *contract_rules("reconciliation"),
        in_set("outcome", ("rows_in", *_PARTS, *chain(*CATALOGS.values())), _CLEANING),
        between("rows", 0, None, _CLEANING),
        _balanced(),
        *(_catalog_balanced(kind, names) for kind, names in CATALOGS.items()),
        _as_staged(("event",), "events"),
        _as_staged(_REFUSED, "quarantine"),
        *refused_share_rules(),
    ]


def items_suite() -> list[Expectation]:
    """The catalog."""
    return [
        *contract_rules("items"),
        satisfies(
            "an item is not first seen after ds",
            "first_seen <= ds",
            "first_seen",
            _MAPPING,
            in_order=("first_seen", "ds"),
        ),
        between("price", 0, HIGHEST_PRICE, _MAPPING),
        not_null("title", "Map items.title: recommendations will show ids instead of titles.", "warning", 0.5),
        finds_nothing(
            "no more items have left the catalog since earlier nights than are in it",
            "SELECT delisted, listed FROM (SELECT count_if(NOT listed) AS delisted, count_if(listed) AS listed "
            "FROM {batch}) WHERE delisted > listed",
            "listed",
            "What left the catalog is not shown: deliver all of it each night, not only what changed.",
            "warning",
            shared_sql=True,
        ),
        _matched("items", "items of the events are in the catalog, in one spelling", "item_id"),
    ]


def users_suite() -> list[Expectation]:
    """Users' attributes."""
    return [
        *contract_rules("users"),
        satisfies(
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
    return finds_nothing(
        f"no user is a placeholder, and none has more than {GIANT_SHARE:.0%} of the events",
        query,
        "user_key",
        remedy,
        "warning",
        shared_sql=True,
    )


def _matched(table: str, says: str, column: str) -> Expectation:
    query = (
        f"SELECT value AS ids FROM manifest_facts WHERE name = 'unmatched_{table}' AND EXISTS (SELECT 1 FROM {{batch}})"
    )
    return finds_nothing(
        says, query, column, f"Make both ids the same in the mapping of events or of {table}.", "warning"
    )


def _balanced() -> Expectation:
    parts = " + ".join(_OUTCOMES.format(name) for name in _PARTS)
    rows_in = _OUTCOMES.format("rows_in")
    query = (
        f"SELECT ds, {rows_in} AS rows_in, {parts} AS accounted FROM {{batch}} GROUP BY ds HAVING {rows_in} <> {parts}"
    )
    return finds_nothing(
        "rows_in = events + quarantine + duplicates + forgotten + waiting + before_window, each day, to the row",
        query,
        "rows",
        _CLEANING,
        shared_sql=True,
    )


def _catalog_balanced(kind: str, names: Outcomes) -> Expectation:
    rows_in = _OUTCOMES.format(names.rows_in)
    parts = " + ".join(_OUTCOMES.format(name) for name in names[1:])
    query = (
        f"SELECT ds, {rows_in} AS rows_in, {parts} AS accounted FROM {{batch}} GROUP BY ds HAVING {rows_in} <> {parts}"
    )
    says = f"the {kind} that came in = accepted + quarantine + duplicates + forgotten, each day, to the row"
    return finds_nothing(says, query, "rows", _CLEANING, shared_sql=True)


def _as_staged(outcomes: tuple[str, ...], table: str) -> Expectation:
    listed = ", ".join(f"'{outcome}'" for outcome in outcomes)
    query = (
        f"SELECT ds, said, staged FROM (SELECT ds, sum(rows) AS said FROM {{batch}} WHERE outcome IN ({listed}) "
        f"GROUP BY ds) FULL JOIN (SELECT ds, sum(rows) AS staged FROM staged_rows WHERE name = '{table}' GROUP BY ds) "
        f"USING (ds) WHERE coalesce(said, 0) <> coalesce(staged, 0)"
    )
    says = f"rows of outcome {', '.join(outcomes)} = rows staged in {table}, each day"
    return finds_nothing(says, query, "rows", _CLEANING, shared_sql=True)
