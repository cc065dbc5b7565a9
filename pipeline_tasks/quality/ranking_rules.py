"""Rules that all tables of ranked rows share."""

from typing import Final

from great_expectations.expectations.expectation import Expectation

from pipeline_tasks.quality.gate_rules import Severity, no_rows_from

SCORING: Final = (
    "Run the DAG nightly_recommendations again; when it fails again, roll the champion back (DAG roll_back_night, "
    "what: champion) and report it."
)
LARGEST_SCORE: Final = 1e30
"""Far above every finite score. Spark orders NaN above every number, so this bound refuses NaN as well."""


def ranks_without_gaps(owner: str, item: str) -> Expectation:
    """Return the rule that the ranks of an owner (one or more columns) are 1..n, and that no item repeats.

    The query returns the rows with a wrong rank and the repeated items, joined by UNION ALL: two distinct counts in
    one query would triple its rows in Spark (2 million rows: 5.1 s, not 3.6 s).
    """
    query = (
        f"SELECT {owner} FROM (SELECT {owner}, rank, row_number() OVER (PARTITION BY {owner} ORDER BY rank) AS place "
        f"FROM {{batch}}) WHERE rank IS DISTINCT FROM place "
        f"UNION ALL SELECT {owner} FROM {{batch}} GROUP BY {owner}, {item} HAVING count(*) > 1"
    )
    description = f"ranks of a {owner} are 1..n without a gap, and no {item} repeats"
    return no_rows_from(description, query, "rank", SCORING, shared_sql=True)


def best_first(owner: str, severity: Severity = "critical", score: str = "score") -> Expectation:
    """Return the rule that scores of an owner do not rise with the rank."""
    query = (
        f"SELECT * FROM (SELECT {owner}, rank, {score}, lag({score}) OVER (PARTITION BY {owner} ORDER BY rank) "
        f"AS before FROM {{batch}}) WHERE {score} > before"
    )
    return no_rows_from(f"{score} does not rise with the rank", query, score, SCORING, severity, shared_sql=True)


def not_empty_with_histories(remedy: str) -> Expectation:
    """Return the rule that the table is empty only where all histories are of anonymous sessions."""
    query = "SELECT DISTINCT user_key FROM sequences WHERE user_key IS NOT NULL AND (SELECT count(*) FROM {batch}) = 0"
    return no_rows_from("there are rows, unless no user has a history", query, "*", remedy)


def items_in_catalog(column: str) -> Expectation:
    """Return the rule that every item is in the catalog."""
    query = f"SELECT DISTINCT {column} FROM {{batch}} ANTI JOIN items ON {column} = items.item_id"
    if column == "item_id":
        query = "SELECT DISTINCT item_id FROM {batch} ANTI JOIN items USING (item_id)"
    return no_rows_from(f"every {column} is in the catalog", query, column, SCORING)


def shown_items(column: str) -> Expectation:
    """Return the rule that no item is excluded by the shop's rules or has left the catalog."""
    query = (
        f"SELECT DISTINCT {column} FROM {{batch}} WHERE {column} IN (SELECT item_id FROM shelf_rules WHERE NOT allowed)"
    )
    return no_rows_from(f"no {column} is blocked, out of stock or delisted", query, column, SCORING)


def fact(name: str) -> str:
    """Return a scalar subquery for a whole number among the manifest's facts."""
    return f"(SELECT first(cast(value AS INT)) FROM manifest_facts WHERE name = '{name}')"
