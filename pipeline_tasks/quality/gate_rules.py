"""Functions that build the rules of the suites: rules of one column, of a table's contract and of ranked rows.

Importing this module imports Great Expectations (4 s of processor time): import it only where a gate runs.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation

from pipeline_tasks.quality.gate_expectations import (
    ExpectColumnValuesToBeBetween,
    ExpectColumnValuesToBeInSet,
    ExpectColumnValuesToNotBeNull,
    ExpectIdsToDifferWithinDays,
    ExpectNoRowsFrom,
    ExpectRowsToSatisfy,
)
from pipeline_tasks.tables.contracts import TABLES, DataType, Table

Severity = Literal["critical", "warning"]
"""A failed critical rule closes the gate; a failed warning is only reported."""
_SPARK_TYPES: Final[dict[DataType, str]] = {
    "string": "StringType",
    "long": "LongType",
    "int": "IntegerType",
    "double": "DoubleType",
    "boolean": "BooleanType",
    "date": "DateType",
    "timestamp": "TimestampType",
}
_REBUILD: Final = "The job that staged the table broke its contract: correct the job and run its step again."
SCORING: Final = (
    "Run the DAG nightly_recommendations again; when it fails again, roll the champion back (DAG roll_back_night, "
    "what: champion) and report it."
)
LARGEST_SCORE: Final = 1e30
"""Far above every finite score. Spark orders NaN above every number, so this bound refuses NaN as well."""


def _meta(column: str, remedy: str, breaks: str = "", description: str = "", **extra: Sequence[str]) -> dict[str, Any]:
    """Return the metadata of a rule. `breaks` is the Spark SQL condition of an offending row, to find samples."""
    meta = {"column": column, "remedy": remedy, "breaks": breaks, "description": description}
    return {name: value for name, value in (meta | extra).items() if value}


def not_empty(remedy: str) -> Expectation:
    """Return the rule that the table is not empty."""
    return gxe.ExpectTableRowCountToBeBetween(min_value=1, meta=_meta("*", remedy))


def not_null(column: str, remedy: str, severity: Severity = "critical", mostly: float = 1.0) -> Expectation:
    """Return the rule that at least the share `mostly` of the rows has a value."""
    return ExpectColumnValuesToNotBeNull(column=column, mostly=mostly, severity=severity, meta=_meta(column, remedy))


def in_set(column: str, values: Sequence[str], remedy: str, severity: Severity = "critical") -> Expectation:
    """Return the rule that the column holds only `values` or NULL."""
    listed = ", ".join(f"'{value}'" for value in values)
    meta = _meta(column, remedy, f"{column} NOT IN ({listed})")
    return ExpectColumnValuesToBeInSet(column=column, value_set=list(values), severity=severity, meta=meta)


def between(
    column: str,
    low: float | None,
    high: float | None,
    remedy: str,
    severity: Severity = "critical",
    *,
    above_low: bool = False,
) -> Expectation:
    """Return the rule low <= value <= high; `above_low` makes it low < value. NULL is allowed."""
    bounds = [f"{column} {'>' if above_low else '>='} {low!r}"] if low is not None else []
    bounds += [f"{column} <= {high!r}"] if high is not None else []
    return ExpectColumnValuesToBeBetween(
        column=column,
        min_value=low,
        max_value=high,
        strict_min=above_low,
        severity=severity,
        meta=_meta(column, remedy, f"NOT ({' AND '.join(bounds)})"),
    )


def rows_satisfy(
    description: str,
    condition: str,
    column: str,
    remedy: str,
    severity: Severity = "critical",
    *,
    in_order: Sequence[str] = (),
    any_given: Sequence[str] = (),
) -> Expectation:
    """Return the rule that every row satisfies the Spark SQL `condition`; `description` is its wording.

    Two hints let file footers prove the rule without reading rows: it holds where no day of a column in `in_order` is
    after any day of the next one, and where one of the columns `any_given` is never NULL.
    """
    breaks = f"NOT coalesce(({condition}), false)"
    meta = _meta(column, remedy, breaks, description, in_order=list(in_order), any_given=list(any_given))
    return ExpectRowsToSatisfy(condition=condition, description=description, severity=severity, meta=meta)


def no_rows_from(
    description: str,
    query: str,
    column: str,
    remedy: str,
    severity: Severity = "critical",
    *,
    shared_sql: bool = False,
    refusals: str = "",
) -> Expectation:
    """Return the rule that the Spark SQL `query` over `{batch}` returns no row; `description` is its wording.

    Args:
        shared_sql: the query uses only `{batch}` and `staged_rows`, and gives the same result in DuckDB.
        refusals: an outcome of `reconciliation`. A finding names the rules that rejected most of its rows.
    """
    meta = _meta(column, remedy, description=description, refusals=refusals) | (
        {"shared_sql": True} if shared_sql else {}
    )
    return ExpectNoRowsFrom(unexpected_rows_query=query, description=description, severity=severity, meta=meta)


def contract_rules(name: str) -> list[Expectation]:
    """Return the rules for the contract of the table `name`."""
    contract = TABLES[name]
    meta = {"column": "*", "remedy": _REBUILD}
    rules: list[Expectation] = [gxe.ExpectTableColumnsToMatchOrderedList(column_list=contract.column_names, meta=meta)]
    for column in contract.columns:
        # Great Expectations cannot name the element type of an array. Each array has a rule of its own instead.
        if column.dtype in _SPARK_TYPES:
            rules.append(
                gxe.ExpectColumnValuesToBeOfType(
                    column=column.name,
                    type_=_SPARK_TYPES[column.dtype],
                    meta={"column": column.name, "remedy": _REBUILD},
                )
            )
        if not column.nullable:
            rules.append(not_null(column.name, _REBUILD))
    if contract.key:
        rules.append(unique_key(contract))
    return rules


def unique_key(contract: Table) -> Expectation:
    """Return the rule that no two rows share the key. The built-in rule would need a window."""
    columns = ", ".join(contract.key)
    query = f"SELECT {columns}, count(*) AS times FROM {{batch}} GROUP BY {columns} HAVING count(*) > 1"
    description = f"({columns}) identifies one row"
    if len(contract.key) != 2 or contract.key[0] != "ds":
        return no_rows_from(description, query, columns, _REBUILD, shared_sql=True)
    return ExpectIdsToDifferWithinDays(
        id_column=contract.key[1],
        unexpected_rows_query=query,
        description=description,
        severity="critical",
        meta=_meta(columns, _REBUILD, description=description) | {"shared_sql": True},
    )


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
        f"SELECT DISTINCT {column} FROM {{batch}} WHERE {column} IN (SELECT item_id FROM item_rules WHERE NOT allowed)"
    )
    return no_rows_from(f"no {column} is blocked, out of stock or delisted", query, column, SCORING)


def fact(name: str) -> str:
    """Return a scalar subquery for a whole number among the manifest's facts."""
    return f"(SELECT first(cast(value AS INT)) FROM manifest_facts WHERE name = '{name}')"
