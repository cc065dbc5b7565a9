"""Expectations that every table of ranked rows shares."""

from typing import Final

from great_expectations.expectations.expectation import Expectation

from pipeline_tasks.quality.gate_rules import Severity, finds_nothing

SCORING: Final = (
    "Run embed and recommend again; when it fails again, roll the champion back (roll_back_night, what: champion) and "
    "report it."
)
ENDLESS: Final = 1e30
"""No finite score comes near; NaN counts as larger than any number in Spark, so the bound refuses it too."""


def ranked(owner: str, item: str) -> Expectation:
    """Ranks of an owner (one or more columns) are 1..n without a gap, and nothing comes twice.

    The rows found are those with a wrong rank, and each owner and item that come twice: two distinct counts of one
    query triple its rows in Spark (2 million: 5.1 s, and 3.6 so).
    """
    query = (
        f"SELECT {owner} FROM (SELECT {owner}, rank, row_number() OVER (PARTITION BY {owner} ORDER BY rank) AS place "
        f"FROM {{batch}}) WHERE rank IS DISTINCT FROM place "
        f"UNION ALL SELECT {owner} FROM {{batch}} GROUP BY {owner}, {item} HAVING count(*) > 1"
    )
    says = f"ranks of a {owner} are 1..n without a gap, and no {item} comes twice"
    return finds_nothing(says, query, "rank", SCORING, shared_sql=True)


def best_first(owner: str, severity: Severity = "critical", score: str = "score") -> Expectation:
    """Scores of an owner do not rise with the rank."""
    query = (
        f"SELECT * FROM (SELECT {owner}, rank, {score}, lag({score}) OVER (PARTITION BY {owner} ORDER BY rank) "
        f"AS before FROM {{batch}}) WHERE {score} > before"
    )
    return finds_nothing(f"{score} does not rise with the rank", query, score, SCORING, severity, shared_sql=True)


def some_rows_per_history(remedy: str) -> Expectation:
    """The table is empty only on a night of anonymous sessions alone."""
    query = "SELECT DISTINCT user_key FROM sequences WHERE user_key IS NOT NULL AND (SELECT count(*) FROM {batch}) = 0"
    return finds_nothing("there are rows, unless no user has a history", query, "*", remedy)


def known_items(column: str) -> Expectation:
    """Every item is in the catalog."""
    query = f"SELECT DISTINCT {column} FROM {{batch}} ANTI JOIN items ON {column} = items.item_id"
    if column == "item_id":
        query = "SELECT DISTINCT item_id FROM {batch} ANTI JOIN items USING (item_id)"
    return finds_nothing(f"every {column} is in the catalog", query, column, SCORING)


def shown_items(column: str) -> Expectation:
    """No item is one that the shop's rules exclude, or that its catalog no longer lists."""
    query = (
        f"SELECT DISTINCT {column} FROM {{batch}} WHERE {column} IN (SELECT item_id FROM shelf_rules WHERE NOT allowed)"
    )
    return finds_nothing(f"no {column} is blocked, out of stock or delisted", query, column, SCORING)


def fact(name: str) -> str:
    """Return the query of a whole number among the manifest's facts."""
    return f"(SELECT first(cast(value AS INT)) FROM manifest_facts WHERE name = '{name}')"
