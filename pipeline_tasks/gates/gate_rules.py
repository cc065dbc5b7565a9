"""The kinds of expectations that gates are made of: Great Expectations' own, counted in one Spark job per table.

Plain Great Expectations fetches sample values for every column rule that it checks, one Spark job each, also when the
rule holds: 26 jobs for 13 rules on one table, 6.1 s against 1.8 s when only counting (100,000 rows, two cores). Here
rules only count, all in one aggregate; `gate_runner` asks for samples of those that failed.

Importing this module imports Great Expectations (4 s of processor time): import it only where a gate runs.
"""

import logging
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Literal

import great_expectations.expectations as gxe
from great_expectations.execution_engine import ExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation, ColumnMapExpectation, Expectation
from great_expectations.validator.validator import ValidationDependencies

Severity = Literal["critical", "warning"]
"""A critical failure stops the night; a warning is reported and the night goes on."""

_SAMPLES: Final = "unexpected_values"
# The column rules below take the place of the built-in ones on purpose; the registry would warn 40 times.
logging.getLogger("great_expectations.expectations.registry").setLevel(logging.ERROR)


class CountedOnly(ColumnMapExpectation):  # type: ignore[misc]  # untyped base
    """A column rule that does not fetch sample values."""

    def get_validation_dependencies(
        self,
        execution_engine: ExecutionEngine | None = None,
        runtime_configuration: dict[str, Any] | None = None,
        **kwargs: Any,  # noqa: ANN401  # as the base has it
    ) -> ValidationDependencies:
        """Return the metrics that the rule needs, without the samples (a Spark job of their own)."""
        dependencies = super().get_validation_dependencies(execution_engine, runtime_configuration)
        dependencies.remove_metric_configuration(f"{self.map_metric}.{_SAMPLES}")
        return dependencies


# Same names as Great Expectations' own, so that stored suites and Data Docs hold nothing but standard types.
class ExpectColumnValuesToNotBeNull(CountedOnly, gxe.ExpectColumnValuesToNotBeNull):  # type: ignore[misc]
    """No NULL in the column."""


class ExpectColumnValuesToBeInSet(CountedOnly, gxe.ExpectColumnValuesToBeInSet):  # type: ignore[misc]
    """Nothing but the listed values (NULL apart)."""


class ExpectColumnValuesToBeBetween(CountedOnly, gxe.ExpectColumnValuesToBeBetween):  # type: ignore[misc]
    """Within the bounds (NULL apart); NaN is above every bound in Spark, so bounds refuse it."""


class ExpectRowsToSatisfy(BatchExpectation):  # type: ignore[misc]
    """Every row satisfies a Spark SQL condition."""

    condition: str
    metric_dependencies: ClassVar[tuple[str, ...]] = ("table.rows_breaking",)
    success_keys: ClassVar[tuple[str, ...]] = ("condition",)

    def _validate(self, metrics: dict[str, Any], *args: object, **kwargs: object) -> dict[str, Any]:
        rows = metrics["table.rows_breaking"]
        return {"success": rows == 0, "result": {"observed_value": rows}}


class ExpectNoRowsFrom(gxe.UnexpectedRowsExpectation):  # type: ignore[misc]
    """A Spark SQL query over `{batch}` and the step's other tables finds nothing wrong: it returns no row."""

    metric_dependencies: ClassVar[tuple[str, ...]] = ("table.rows_found",)

    def _validate(self, metrics: dict[str, Any], *args: object, **kwargs: object) -> dict[str, Any]:
        rows = metrics["table.rows_found"]
        return {"success": rows == 0, "result": {"observed_value": rows}}


class ExpectIdsToDifferWithinDays(ExpectNoRowsFrom):
    """No two rows of a day share an id; the query, which finds the same, is asked for samples alone."""

    id_column: str
    metric_dependencies: ClassVar[tuple[str, ...]] = ("table.repeated_ids",)
    success_keys: ClassVar[tuple[str, ...]] = ("id_column", "unexpected_rows_query")

    def _validate(self, metrics: dict[str, Any], *args: object, **kwargs: object) -> dict[str, Any]:
        ids = metrics["table.repeated_ids"]
        return {"success": ids == 0, "result": {"observed_value": ids}}


def _meta(column: str, remedy: str, breaks: str = "", says: str = "") -> dict[str, str]:
    """`breaks` is the Spark SQL condition of an offending row: where samples for the message are found."""
    meta = {"column": column, "remedy": remedy, "breaks": breaks, "says": says}
    return {name: text for name, text in meta.items() if text}


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


def satisfies(says: str, condition: str, column: str, remedy: str, severity: Severity = "critical") -> Expectation:
    """Every row satisfies the Spark SQL `condition`, which `says` puts in words."""
    meta = _meta(column, remedy, f"NOT coalesce(({condition}), false)", says)
    return ExpectRowsToSatisfy(condition=condition, description=says, severity=severity, meta=meta)


def finds_nothing(says: str, query: str, column: str, remedy: str, severity: Severity = "critical") -> Expectation:
    """The Spark SQL `query` over `{batch}` returns no row, which `says` puts in words."""
    meta = _meta(column, remedy, says=says)
    return ExpectNoRowsFrom(unexpected_rows_query=query, description=says, severity=severity, meta=meta)


def ids_differ_within_days(says: str, query: str, id_column: str, column: str, remedy: str) -> Expectation:
    """No two rows of a day share a whole number in `id_column`; `query` is `finds_nothing`'s, for samples."""
    meta = _meta(column, remedy, says=says)
    return ExpectIdsToDifferWithinDays(
        id_column=id_column, unexpected_rows_query=query, description=says, severity="critical", meta=meta
    )
