"""Which suite guards which table, and which tables each step stages."""

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


OF_DAYS: Final[dict[str, Callable[[str | None], list[Expectation]]]] = {
    "events": silver_suites.events_suite,
    "splits": split_suites.splits_suite,
    "sequences": split_suites.sequences_suite,
}
"""Suites that hold moments against days, and need the zone of the shop's days."""


def suite_of(table: str, zone: str | None = None) -> ExpectationSuite:
    """Return the table's suite under the table's name; `zone` is that of the shop's days."""
    expectations = OF_DAYS[table](zone) if table in OF_DAYS else SUITES[table]()
    return ExpectationSuite(name=table, expectations=expectations)
