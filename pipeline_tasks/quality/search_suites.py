"""Suites of the tables behind a shop's search box."""

from great_expectations.expectations.expectation import Expectation

from pipeline_tasks.quality.contract_rules import contract_rules
from pipeline_tasks.quality.gate_rules import between, finds_nothing, satisfies
from pipeline_tasks.quality.ranking_rules import SCORING, best_first, known_items, ranked, shown_items


def search_results_suite() -> list[Expectation]:
    """What the night's top queries find; empty where nobody searched."""
    return [
        *contract_rules("search_results"),
        # Three rankings at most, each adding 1 / 61 at its best.
        between("score", 0, 3 / 61 + 1e-9, SCORING, above_low=True),
        ranked("query, user_key", "item_id"),
        best_first("query, user_key"),
        known_items("item_id"),
        shown_items("item_id"),
        satisfies("a reason is given", "length(trim(reason)) > 0", "reason", SCORING, "warning"),
        finds_nothing(
            "every query has an order for everybody",
            "SELECT DISTINCT query FROM {batch} WHERE query NOT IN (SELECT query FROM {batch} WHERE user_key IS NULL)",
            "query",
            SCORING,
        ),
        finds_nothing(
            "nobody who wants no shelf has an order of their own",
            "SELECT DISTINCT user_key FROM {batch} SEMI JOIN (SELECT user_key FROM opt_outs WHERE item_id IS NULL) "
            "USING (user_key)",
            "user_key",
            SCORING,
        ),
    ]


def search_suggestions_suite() -> list[Expectation]:
    """Prefix -> queries; empty where nobody searched."""
    return [
        *contract_rules("search_suggestions"),
        between("searches", 1, None, SCORING),
        satisfies("the query begins with the prefix", "startswith(query, prefix)", "prefix", SCORING),
        ranked("prefix", "query"),
        best_first("prefix", score="searches"),
    ]
