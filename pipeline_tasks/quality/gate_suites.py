"""The suite of each table."""

from collections.abc import Callable
from typing import Final

from great_expectations import ExpectationSuite
from great_expectations.expectations.expectation import Expectation

from pipeline_tasks.quality import gold_suites, outlook_suites, search_suites, silver_suites, split_suites

SUITES: Final[dict[str, Callable[[], list[Expectation]]]] = {
    "events": silver_suites.events_suite,
    "quarantine": silver_suites.quarantine_suite,
    "reconciliation": silver_suites.reconciliation_suite,
    "items": silver_suites.items_suite,
    "users": silver_suites.users_suite,
    "splits": split_suites.splits_suite,
    "sequences": split_suites.sequences_suite,
    "user_profiles": gold_suites.user_profiles_suite,
    "recommendations": gold_suites.recommendations_suite,
    "fallback_recommendations": gold_suites.fallback_recommendations_suite,
    "similar_items": gold_suites.similar_items_suite,
    "next_items": gold_suites.next_items_suite,
    "search_results": search_suites.search_results_suite,
    "search_suggestions": search_suites.search_suggestions_suite,
    "purchase_intent": outlook_suites.purchase_intent_suite,
    "audiences": outlook_suites.audiences_suite,
    "demand_outlook": outlook_suites.demand_outlook_suite,
}

ZONED_SUITES: Final[dict[str, Callable[[str | None], list[Expectation]]]] = {
    "events": silver_suites.events_suite,
    "splits": split_suites.splits_suite,
    "sequences": split_suites.sequences_suite,
}
"""Suites that compare timestamps with days, and therefore need the time zone of the shop's days."""


def suite_for(table: str, zone: str | None = None) -> ExpectationSuite:
    """Return the suite of `table`, named like the table; `zone` is the time zone of the shop's days."""
    expectations = ZONED_SUITES[table](zone) if table in ZONED_SUITES else SUITES[table]()
    return ExpectationSuite(name=table, expectations=expectations)
