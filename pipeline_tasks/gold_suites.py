"""Suites of the tables that applications query: profiles and the three tables of recommendations."""

from typing import Final

from great_expectations.expectations.expectation import Expectation

from pipeline_tasks.contract_rules import contract_rules, some_rows
from pipeline_tasks.gate_rules import between, finds_nothing, in_set, not_null, satisfies

_PROFILES: Final = "Run the profiles step again, and report it when it fails again."
_SCORING: Final = "Run embed and recommend again; when it fails again, roll the champion back and report it."
_ENDLESS: Final = 1e30
"""No finite score comes near; NaN counts as larger than any number in Spark, so the bound refuses it too."""


def user_profiles_suite() -> list[Expectation]:
    """One row per shopper with history."""
    return [
        *contract_rules("user_profiles"),
        some_rows(_PROFILES),
        between("recency_days", 0, None, _PROFILES),
        between("frequency", 1, None, _PROFILES),
        between("events", 1, None, _PROFILES),
        between("monetary", 0, _ENDLESS, _PROFILES),
        between("preferred_hour", 0, 23, _PROFILES),
        in_set("price_band", ("low", "middle", "high"), _PROFILES),
        satisfies("at most 5 top categories", "size(top_categories) <= 5", "top_categories", _PROFILES),
        satisfies("at most 5 top brands", "size(top_brands) <= 5", "top_brands", _PROFILES),
        not_null("price_band", "Map price in events or items: price bands stay empty.", "warning", 0.5),
    ]


def recommendations_suite() -> list[Expectation]:
    """k rows for every shopper with history, none twice, none excluded, best first."""
    return [
        *contract_rules("recommendations"),
        some_rows(_SCORING),
        between("score", -_ENDLESS, _ENDLESS, _SCORING),
        _ranked("user_key", "item_id"),
        _best_first("user_key"),
        _known_items("item_id"),
        finds_nothing(
            "every shopper with history has exactly k rows (fewer only when fewer items are allowed)",
            "SELECT user_key, rows_due, count(rank) AS rows FROM shelves_due LEFT JOIN {batch} USING (user_key) "
            "GROUP BY user_key, rows_due HAVING count(rank) <> rows_due",
            "user_key",
            _SCORING,
        ),
        finds_nothing(
            "nobody without history has a row",
            "SELECT DISTINCT user_key FROM {batch} ANTI JOIN shelves_due USING (user_key)",
            "user_key",
            _SCORING,
        ),
        finds_nothing(
            "nothing recently bought is recommended",
            "SELECT user_key, item_id FROM {batch} SEMI JOIN recently_purchased USING (user_key, item_id)",
            "item_id",
            _SCORING,
        ),
        satisfies("a reason is given", "length(trim(reason)) > 0", "reason", _SCORING, "warning"),
    ]


def fallback_recommendations_suite() -> list[Expectation]:
    """A shelf per segment and for everyone."""
    return [
        *contract_rules("fallback_recommendations"),
        some_rows(_SCORING),
        between("score", 0, 1, _SCORING),
        _ranked("segment", "item_id"),
        _best_first("segment", "warning"),
        _known_items("item_id"),
        finds_nothing(
            "there is a shelf for every segment of user_profiles and for 'everyone'",
            "SELECT segment FROM (SELECT DISTINCT segment FROM user_profiles UNION SELECT 'everyone') "
            "ANTI JOIN {batch} USING (segment)",
            "segment",
            _SCORING,
        ),
    ]


def similar_items_suite() -> list[Expectation]:
    """The nearest items of each item."""
    return [
        *contract_rules("similar_items"),
        # Cosines of float32 vectors miss 1 by rounding.
        between("score", -1.0001, 1.0001, _SCORING),
        satisfies("an item is not similar to itself", "item_id <> similar_item_id", "similar_item_id", _SCORING),
        _ranked("item_id", "similar_item_id"),
        _best_first("item_id"),
        _known_items("similar_item_id"),
    ]


def _ranked(owner: str, item: str) -> Expectation:
    query = (
        f"SELECT {owner}, count(*) AS rows, min(rank) AS first, max(rank) AS last FROM {{batch}} GROUP BY {owner} "
        f"HAVING min(rank) <> 1 OR max(rank) <> count(*) OR count(DISTINCT rank) <> count(*) "
        f"OR count(DISTINCT {item}) <> count(*)"
    )
    return finds_nothing(
        f"ranks of a {owner} are 1..n without a gap, and no {item} comes twice", query, "rank", _SCORING
    )


def _best_first(owner: str, severity: str = "critical") -> Expectation:
    query = (
        f"SELECT * FROM (SELECT {owner}, rank, score, lag(score) OVER (PARTITION BY {owner} ORDER BY rank) AS before "
        "FROM {batch}) WHERE score > before"
    )
    says = "scores do not rise with the rank"
    return finds_nothing(says, query, "score", _SCORING, "critical" if severity == "critical" else "warning")


def _known_items(column: str) -> Expectation:
    query = f"SELECT DISTINCT {column} FROM {{batch}} ANTI JOIN items ON {column} = items.item_id"
    if column == "item_id":
        query = "SELECT DISTINCT item_id FROM {batch} ANTI JOIN items USING (item_id)"
    return finds_nothing(f"every {column} is in the catalog", query, column, _SCORING)
