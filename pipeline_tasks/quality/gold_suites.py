"""Suites of the tables that applications query: profiles and the three tables of recommendations."""

from typing import Final

from great_expectations.expectations.expectation import Expectation

from pipeline_tasks.quality.contract_rules import contract_rules
from pipeline_tasks.quality.gate_rules import between, finds_nothing, in_set, not_null, satisfies, some_rows
from pipeline_tasks.quality.ranking_rules import (
    ENDLESS,
    SCORING,
    best_first,
    fact,
    known_items,
    ranked,
    shown_items,
    some_rows_per_history,
)
from pipeline_tasks.tables.contracts import SEGMENTS

_PROFILES: Final = "Run the recommend step again, and report it when it fails again."
_SHELVES: Final = ", ".join(f"('{segment}')" for segment in (*SEGMENTS, "everyone"))


def user_profiles_suite() -> list[Expectation]:
    """One row per user with history."""
    return [
        *contract_rules("user_profiles"),
        some_rows_per_history(_PROFILES),
        between("recency_days", 0, None, _PROFILES),
        between("frequency", 1, None, _PROFILES),
        between("events", 1, None, _PROFILES),
        between("monetary", 0, ENDLESS, _PROFILES),
        between("cluster", 1, None, _PROFILES),
        in_set("segment", SEGMENTS, _PROFILES),
        satisfies("RFM is three digits 1 to 5", "rfm RLIKE '^[1-5]{3}$'", "rfm", _PROFILES),
        satisfies(
            "1 to 3 different preferred hours, 0 to 23",
            "size(preferred_hours) BETWEEN 1 AND 3 AND forall(preferred_hours, h -> h BETWEEN 0 AND 23) "
            "AND size(array_distinct(preferred_hours)) = size(preferred_hours)",
            "preferred_hours",
            _PROFILES,
        ),
        in_set("price_band", ("low", "middle", "high"), _PROFILES),
        _favorites("top_categories", "category_interest"),
        _favorites("top_brands", "brand_interest"),
        finds_nothing(
            "every user with history has a profile",
            "SELECT DISTINCT user_key FROM sequences ANTI JOIN {batch} USING (user_key) WHERE user_key IS NOT NULL",
            "user_key",
            _PROFILES,
        ),
        not_null("price_band", "Map price in events or items: price bands stay empty.", "warning", 0.5),
    ]


def recommendations_suite() -> list[Expectation]:
    """k rows for every user with history, none twice, none excluded, best first."""
    return [
        *contract_rules("recommendations"),
        some_rows_per_history(SCORING),
        between("score", -ENDLESS, ENDLESS, SCORING),
        ranked("user_key", "item_id"),
        finds_nothing(
            "scores do not rise with the rank where the arm goes by score alone (slots for new items apart)",
            "SELECT * FROM (SELECT user_key, rank, score, lag(score) OVER (PARTITION BY user_key ORDER BY rank) AS "
            "before FROM {batch} SEMI JOIN (SELECT arm FROM shelf_arms WHERE by_score) USING (arm) "
            "WHERE reason NOT LIKE 'new in %') WHERE score > before",
            "score",
            SCORING,
        ),
        known_items("item_id"),
        *_nothing_excluded(),
        *_every_shelf(),
        satisfies("a reason is given", "length(trim(reason)) > 0", "reason", SCORING, "warning"),
    ]


def _nothing_excluded() -> list[Expectation]:
    return [
        finds_nothing(
            "nothing that the shop's rules exclude, or that the user opted out of, is recommended",
            "SELECT user_key, item_id FROM {batch} SEMI JOIN (SELECT item_id FROM shelf_rules WHERE NOT allowed) "
            "USING (item_id) UNION ALL "
            "SELECT user_key, item_id FROM {batch} SEMI JOIN opt_outs USING (user_key, item_id)",
            "item_id",
            SCORING,
        ),
        finds_nothing(
            "nothing that the user bought recently, or already has where that is excluded, is recommended, unless it "
            "is replenishable",
            "SELECT user_key, item_id FROM {batch} SEMI JOIN already_taken USING (user_key, item_id)",
            "item_id",
            SCORING,
        ),
    ]


def _every_shelf() -> list[Expectation]:
    """Everybody who is due a shelf has one, of the right length and arm."""
    return [
        finds_nothing(
            "every arm is one of the shelf rules",
            "SELECT DISTINCT arm FROM {batch} ANTI JOIN shelf_arms USING (arm)",
            "arm",
            SCORING,
        ),
        finds_nothing(
            "every user with history has exactly k rows (fewer only when fewer items are allowed)",
            "SELECT user_key, rows_due, count(rank) AS rows FROM shelves_due LEFT JOIN {batch} USING (user_key) "
            "GROUP BY user_key, rows_due HAVING count(rank) <> rows_due",
            "user_key",
            SCORING,
        ),
        finds_nothing(
            "nobody without history, and nobody who wants no shelf, has a row",
            "SELECT DISTINCT user_key FROM {batch} ANTI JOIN shelves_due USING (user_key)",
            "user_key",
            SCORING,
        ),
    ]


def fallback_recommendations_suite() -> list[Expectation]:
    """A shelf per segment and for everyone."""
    return [
        *contract_rules("fallback_recommendations"),
        some_rows(SCORING),
        between("score", 0, 1, SCORING),
        ranked("segment", "item_id"),
        best_first("segment", "warning"),
        known_items("item_id"),
        shown_items("item_id"),
        finds_nothing(
            "there is a shelf for every segment, also for one that is nobody's tonight, and for 'everyone'",
            f"SELECT segment FROM VALUES {_SHELVES} AS due(segment) ANTI JOIN {{batch}} USING (segment)",
            "segment",
            SCORING,
        ),
        finds_nothing(
            "every segment has exactly k rows (fewer only when fewer items may be shown)",
            f"SELECT segment, count(*) AS rows FROM {{batch}} GROUP BY segment "
            f"HAVING count(*) <> least({fact('fallback_k')}, {fact('shown_items')})",
            "segment",
            SCORING,
        ),
    ]


def similar_items_suite() -> list[Expectation]:
    """The nearest items of each item."""
    return [
        *_beside_items("similar_items", "similar_item_id", "similar_k"),
        # Cosines of float32 vectors miss 1 by rounding.
        between("score", -1.0001, 1.0001, SCORING),
    ]


def next_items_suite() -> list[Expectation]:
    """What a visitor wants next who turned to an item."""
    return [*_beside_items("next_items", "next_item_id", "next_k"), between("score", 0, ENDLESS, SCORING)]


def _beside_items(table: str, neighbor: str, rows: str) -> list[Expectation]:
    """What holds of every table of items beside items."""
    return [
        *contract_rules(table),
        satisfies("an item is not beside itself", f"item_id <> {neighbor}", neighbor, SCORING),
        ranked("item_id", neighbor),
        best_first("item_id"),
        known_items(neighbor),
        shown_items(neighbor),
        finds_nothing(
            "every item with a vector has exactly k others (fewer only when fewer items may be shown)",
            f"SELECT item_id, count(rank) AS rows FROM shelf_rules LEFT JOIN {{batch}} USING (item_id) "
            f"GROUP BY item_id, allowed "
            f"HAVING count(rank) <> least({fact(rows)}, {fact('allowed_items')} - cast(allowed AS INT))",
            "item_id",
            SCORING,
        ),
    ]


def _favorites(names: str, interest: str) -> Expectation:
    return satisfies(
        f"at most 5 {names}, each with its share, the largest first, 1 together at most",
        f"size({names}) <= 5 AND size({names}) = size({interest}) AND {interest} = reverse(array_sort({interest})) "
        f"AND forall({interest}, x -> x > 0) AND aggregate({interest}, 0D, (sum, x) -> sum + x) < 1.001",
        names,
        _PROFILES,
    )
