"""The rules that suites are made of: each an expectation with its severity, its remedy and where to find samples.

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
"""A critical failure stops the night; a warning is reported and the night goes on."""


def _meta(column: str, remedy: str, breaks: str = "", says: str = "", **follows: Sequence[str]) -> dict[str, Any]:
    """`breaks` is the Spark SQL condition of an offending row: where samples for the message are found."""
    meta = {"column": column, "remedy": remedy, "breaks": breaks, "says": says}
    return {name: value for name, value in (meta | follows).items() if value}


def some_rows(remedy: str) -> Expectation:
    """The table is not empty."""
    return gxe.ExpectTableRowCountToBeBetween(min_value=1, meta=_meta("*", remedy))


def not_null(column: str, remedy: str, severity: Severity = "critical", mostly: float = 1.0) -> Expectation:
    """At least the share `mostly` of rows has a value."""
    return ExpectColumnValuesToNotBeNull(column=column, mostly=mostly, severity=severity, meta=_meta(column, remedy))


def in_set(column: str, values: Sequence[str], remedy: str, severity: Severity = "critical") -> Expectation:
    """Nothing but `values` (NULL apart)."""
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
    """low <= value <= high (NULL apart); `above_low` makes it low < value."""
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


def satisfies(
    says: str,
    condition: str,
    column: str,
    remedy: str,
    severity: Severity = "critical",
    *,
    in_order: Sequence[str] = (),
    any_given: Sequence[str] = (),
) -> Expectation:
    """Every row satisfies the Spark SQL `condition`, which `says` puts in words.

    It follows where no day of one of the columns `in_order` is after any of the next, and where one of `any_given` is
    never NULL; the files' footers may tell that without a look at the rows.
    """
    breaks = f"NOT coalesce(({condition}), false)"
    meta = _meta(column, remedy, breaks, says, in_order=list(in_order), any_given=list(any_given))
    return ExpectRowsToSatisfy(condition=condition, description=says, severity=severity, meta=meta)


def finds_nothing(
    says: str,
    query: str,
    column: str,
    remedy: str,
    severity: Severity = "critical",
    *,
    shared_sql: bool = False,
    refusals: str = "",
) -> Expectation:
    """The Spark SQL `query` over `{batch}` returns no row, which `says` puts in words.

    `shared_sql`: it names nothing but `{batch}` and `staged_rows`, and means the same to DuckDB. `refusals`: an outcome
    in `reconciliation`; a finding names the commonest rules behind it, and what to do about them.
    """
    meta = _meta(column, remedy, says=says, refusals=refusals) | ({"shared_sql": True} if shared_sql else {})
    return ExpectNoRowsFrom(unexpected_rows_query=query, description=says, severity=severity, meta=meta)


def ids_differ_within_days(says: str, query: str, id_column: str, column: str, remedy: str) -> Expectation:
    """No two rows of a day share an id; `query` is `finds_nothing`'s, for samples."""
    meta = _meta(column, remedy, says=says)
    return ExpectIdsToDifferWithinDays(
        id_column=id_column, unexpected_rows_query=query, description=says, severity="critical", meta=meta
    )
