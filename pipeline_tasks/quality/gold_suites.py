"""Suites of the tables that applications query: profiles, recommendations, neighbor items and search."""

from typing import Final

from great_expectations.expectations.expectation import Expectation

from pipeline_tasks.quality.gate_rules import (
    LARGEST_SCORE,
    SCORING,
    best_first,
    between,
    contract_rules,
    fact,
    in_set,
    items_in_catalog,
    no_rows_from,
    not_empty,
    not_empty_with_histories,
    not_null,
    ranks_without_gaps,
    rows_satisfy,
    shown_items,
)
from pipeline_tasks.tables.contracts import SEGMENTS

_PROFILES: Final = "Run the step recommend again, and report it when it fails again."
_SEGMENT_ROWS: Final = ", ".join(f"('{segment}')" for segment in (*SEGMENTS, "everyone"))


def user_profiles_suite() -> list[Expectation]:
    """Return the suite of `user_profiles`: one row for each user with a history."""
    return [
        *contract_rules("user_profiles"),
        not_empty_with_histories(_PROFILES),
        between("recency_days", 0, None, _PROFILES),
        between("frequency", 1, None, _PROFILES),
        between("events", 1, None, _PROFILES),
        between("monetary", 0, LARGEST_SCORE, _PROFILES),
        between("cluster", 1, None, _PROFILES),
        in_set("segment", SEGMENTS, _PROFILES),
        rows_satisfy("RFM is three digits 1 to 5", "rfm RLIKE '^[1-5]{3}$'", "rfm", _PROFILES),
        rows_satisfy(
            "1 to 3 different preferred hours, 0 to 23",
            "size(preferred_hours) BETWEEN 1 AND 3 AND forall(preferred_hours, h -> h BETWEEN 0 AND 23) "
            "AND size(array_distinct(preferred_hours)) = size(preferred_hours)",
            "preferred_hours",
            _PROFILES,
        ),
        in_set("price_band", ("low", "middle", "high"), _PROFILES),
        _favorites("top_categories", "category_interest"),
        _favorites("top_brands", "brand_interest"),
        no_rows_from(
            "every user with history has a profile",
            "SELECT DISTINCT user_key FROM sequences ANTI JOIN {batch} USING (user_key) WHERE user_key IS NOT NULL",
            "user_key",
            _PROFILES,
        ),
        not_null("price_band", "Map price in events or items: price bands stay empty.", "warning", 0.5),
    ]


def recommendations_suite() -> list[Expectation]:
    """Return the suite of `recommendations`: k items for each user with a history, none repeated or excluded."""
    return [
        *contract_rules("recommendations"),
        not_empty_with_histories(SCORING),
        between("score", -LARGEST_SCORE, LARGEST_SCORE, SCORING),
        ranks_without_gaps("user_key", "item_id"),
        no_rows_from(
            "scores do not rise with the rank where the arm ranks by score alone (except slots for new items)",
            "SELECT * FROM (SELECT user_key, rank, score, lag(score) OVER (PARTITION BY user_key ORDER BY rank) AS "
            "before FROM {batch} SEMI JOIN (SELECT arm FROM arms WHERE by_score) USING (arm) "
            "WHERE reason NOT LIKE 'new in %') WHERE score > before",
            "score",
            SCORING,
        ),
        items_in_catalog("item_id"),
        *_nothing_excluded(),
        *_complete_for_users(),
        rows_satisfy("a reason is given", "length(trim(reason)) > 0", "reason", SCORING, "warning"),
    ]


def _nothing_excluded() -> list[Expectation]:
    return [
        no_rows_from(
            "no item that the shop's rules exclude, or that the user opted out of, is recommended",
            "SELECT user_key, item_id FROM {batch} SEMI JOIN (SELECT item_id FROM item_rules WHERE NOT allowed) "
            "USING (item_id) UNION ALL "
            "SELECT user_key, item_id FROM {batch} SEMI JOIN opt_outs USING (user_key, item_id)",
            "item_id",
            SCORING,
        ),
        no_rows_from(
            "no item that the user bought recently, or already has where that is excluded, is recommended, unless it "
            "is replenishable",
            "SELECT user_key, item_id FROM {batch} SEMI JOIN already_taken USING (user_key, item_id)",
            "item_id",
            SCORING,
        ),
    ]


def _complete_for_users() -> list[Expectation]:
    """Return the rules that exactly the users who are due recommendations have them, of the right length and arm."""
    return [
        no_rows_from(
            "every arm is one of the business rules",
            "SELECT DISTINCT arm FROM {batch} ANTI JOIN arms USING (arm)",
            "arm",
            SCORING,
        ),
        no_rows_from(
            "every user with history has exactly k rows (fewer only when fewer items are allowed)",
            "SELECT user_key, rows_due, count(rank) AS rows FROM rows_due_by_user LEFT JOIN {batch} USING (user_key) "
            "GROUP BY user_key, rows_due HAVING count(rank) <> rows_due",
            "user_key",
            SCORING,
        ),
        no_rows_from(
            "no user without a history, and no user who opted out of recommendations, has a row",
            "SELECT DISTINCT user_key FROM {batch} ANTI JOIN rows_due_by_user USING (user_key)",
            "user_key",
            SCORING,
        ),
    ]


def fallback_recommendations_suite() -> list[Expectation]:
    """Return the suite of `fallback_recommendations`: a list for each segment and one for everyone."""
    return [
        *contract_rules("fallback_recommendations"),
        not_empty(SCORING),
        between("score", 0, 1, SCORING),
        ranks_without_gaps("segment", "item_id"),
        best_first("segment", "warning"),
        items_in_catalog("item_id"),
        shown_items("item_id"),
        no_rows_from(
            "every segment, even one without users, and 'everyone' have recommendations",
            f"SELECT segment FROM VALUES {_SEGMENT_ROWS} AS due(segment) ANTI JOIN {{batch}} USING (segment)",
            "segment",
            SCORING,
        ),
        no_rows_from(
            "every segment has exactly k rows (fewer only when fewer items may be shown)",
            f"SELECT segment, count(*) AS rows FROM {{batch}} GROUP BY segment "
            f"HAVING count(*) <> least({fact('fallback_k')}, {fact('shown_items')})",
            "segment",
            SCORING,
        ),
    ]


def similar_items_suite() -> list[Expectation]:
    """Return the suite of `similar_items`: the nearest items of each item."""
    return [
        *_item_to_item("similar_items", "similar_item_id", "similar_k"),
        # Cosines of float32 vectors may exceed 1 by rounding.
        between("score", -1.0001, 1.0001, SCORING),
    ]


def next_items_suite() -> list[Expectation]:
    """Return the suite of `next_items`: the likeliest next items of a visitor who views an item."""
    return [*_item_to_item("next_items", "next_item_id", "next_k"), between("score", 0, LARGEST_SCORE, SCORING)]


def _item_to_item(table: str, neighbor: str, rows: str) -> list[Expectation]:
    """Return the rules that every table with lists of items for an item shares."""
    return [
        *contract_rules(table),
        rows_satisfy("an item is not in its own list", f"item_id <> {neighbor}", neighbor, SCORING),
        ranks_without_gaps("item_id", neighbor),
        best_first("item_id"),
        items_in_catalog(neighbor),
        shown_items(neighbor),
        no_rows_from(
            "every item with a vector has exactly k others (fewer only when fewer items may be shown)",
            f"SELECT item_id, count(rank) AS rows FROM item_rules LEFT JOIN {{batch}} USING (item_id) "
            f"GROUP BY item_id, allowed "
            f"HAVING count(rank) <> least({fact(rows)}, {fact('allowed_items')} - cast(allowed AS INT))",
            "item_id",
            SCORING,
        ),
    ]


def _favorites(names: str, interest: str) -> Expectation:
    return rows_satisfy(
        f"at most 5 {names}, each with its share, the largest first, 1 together at most",
        f"size({names}) <= 5 AND size({names}) = size({interest}) AND {interest} = reverse(array_sort({interest})) "
        f"AND forall({interest}, x -> x > 0) AND aggregate({interest}, 0D, (sum, x) -> sum + x) < 1.001",
        names,
        _PROFILES,
    )


def search_results_suite() -> list[Expectation]:
    """Return the suite of `search_results`: results of the most frequent queries; empty without searches."""
    return [
        *contract_rules("search_results"),
        # A score sums at most three rankings, and each adds at most 1 / 61.
        between("score", 0, 3 / 61 + 1e-9, SCORING, above_low=True),
        ranks_without_gaps("query, user_key", "item_id"),
        best_first("query, user_key"),
        items_in_catalog("item_id"),
        shown_items("item_id"),
        rows_satisfy("a reason is given", "length(trim(reason)) > 0", "reason", SCORING, "warning"),
        no_rows_from(
            "every query has an order for all users (user_key NULL)",
            "SELECT DISTINCT query FROM {batch} WHERE query NOT IN (SELECT query FROM {batch} WHERE user_key IS NULL)",
            "query",
            SCORING,
        ),
        no_rows_from(
            "no user who opted out of recommendations has an order of their own",
            "SELECT DISTINCT user_key FROM {batch} SEMI JOIN (SELECT user_key FROM opt_outs WHERE item_id IS NULL) "
            "USING (user_key)",
            "user_key",
            SCORING,
        ),
    ]


def search_suggestions_suite() -> list[Expectation]:
    """Return the suite of `search_suggestions`: prefix -> queries; empty without searches."""
    return [
        *contract_rules("search_suggestions"),
        between("searches", 1, None, SCORING),
        rows_satisfy("the query begins with the prefix", "startswith(query, prefix)", "prefix", SCORING),
        ranks_without_gaps("prefix", "query"),
        best_first("prefix", score="searches"),
    ]
