"""Suites of the tables for a shop's search box."""

from great_expectations.expectations.expectation import Expectation

from pipeline_tasks.quality.contract_rules import contract_rules
from pipeline_tasks.quality.gate_rules import between, no_rows_from, rows_satisfy
from pipeline_tasks.quality.ranking_rules import SCORING, best_first, items_in_catalog, ranks_without_gaps, shown_items


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
