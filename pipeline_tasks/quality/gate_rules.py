"""Functions that build the rules of the suites: an expectation with severity, remedy and a way to find samples.

Importing this module imports Great Expectations (4 s of processor time): import it only where a gate runs.
"""

from collections.abc import Sequence
from typing import Any, Literal

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

Severity = Literal["critical", "warning"]
"""A failed critical rule closes the gate; a failed warning is only reported."""


def _meta(column: str, remedy: str, breaks: str = "", description: str = "", **extra: Sequence[str]) -> dict[str, Any]:
    """Return the metadata of a rule. `breaks` is the Spark SQL condition of an offending row, to find samples."""
    meta = {"column": column, "remedy": remedy, "breaks": breaks, "says": description}
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


def unique_ids_per_day(description: str, query: str, id_column: str, column: str, remedy: str) -> Expectation:
    """Return the rule that no two rows of a day share an id; `query` returns offending rows, for samples."""
    meta = _meta(column, remedy, description=description)
    return ExpectIdsToDifferWithinDays(
        id_column=id_column, unexpected_rows_query=query, description=description, severity="critical", meta=meta
    )
