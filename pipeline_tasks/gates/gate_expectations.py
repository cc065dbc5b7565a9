"""The kinds of expectations that gates are made of: Great Expectations' own, settled by footers or counted in one job.

Plain Great Expectations fetches sample values for every column rule that it checks, one Spark job each, also when the
rule holds: 26 jobs for 13 rules on one table, 6.1 s against 1.8 s when only counting (100,000 rows, two cores). Here
rules only count, all in one aggregate, and what the files' footers tell is not counted either; `gate_runner` asks for
samples of those that failed.

Importing this module imports Great Expectations (4 s of processor time): import it only where a gate runs.
"""

from typing import Any, ClassVar, Final

import great_expectations.expectations as gxe
from great_expectations.execution_engine import ExecutionEngine, SparkDFExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation, ColumnMapExpectation
from great_expectations.validator.metric_configuration import MetricConfiguration
from great_expectations.validator.validator import ValidationDependencies

from pipeline_tasks.gates.few_rows import rows_found_among_few
from pipeline_tasks.gates.told_by_footers import ToldByFooters, told_by_footers

_SAMPLES: Final = "unexpected_values"


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
        told = _told(execution_engine)
        if self._holds(told):
            _take(dependencies, f"{self.map_metric}.unexpected_count", 0)
        _take(dependencies, "column_values.nonnull.unexpected_count", told.nulls(self.column))
        return dependencies

    def _holds(self, told: ToldByFooters) -> bool:
        """Return whether the footers say that no value breaks the rule."""
        return False


def _told(engine: ExecutionEngine | None) -> ToldByFooters:
    return told_by_footers(engine.dataframe) if isinstance(engine, SparkDFExecutionEngine) else ToldByFooters([])


def _take(dependencies: ValidationDependencies, name: str, told: int | None) -> None:
    """Give the rule a count that is known in place of one that Spark makes."""
    if told is None:
        return
    known = MetricConfiguration("table.told_count", metric_domain_kwargs={}, metric_value_kwargs={"told": told})
    dependencies.set_metric_configuration(name, known)


# Same names as Great Expectations' own, so that stored suites and Data Docs hold nothing but standard types.
class ExpectColumnValuesToNotBeNull(CountedOnly, gxe.ExpectColumnValuesToNotBeNull):  # type: ignore[misc]
    """No NULL in the column."""


class ExpectColumnValuesToBeInSet(CountedOnly, gxe.ExpectColumnValuesToBeInSet):  # type: ignore[misc]
    """Nothing but the listed values (NULL apart)."""


class ExpectColumnValuesToBeBetween(CountedOnly, gxe.ExpectColumnValuesToBeBetween):  # type: ignore[misc]
    """Within the bounds (NULL apart); NaN is above every bound in Spark, so bounds refuse it."""

    def _holds(self, told: ToldByFooters) -> bool:
        return told.within(self.column, self.min_value, self.max_value, above_low=bool(self.strict_min))


class ExpectRowsToSatisfy(BatchExpectation):  # type: ignore[misc]
    """Every row satisfies a Spark SQL condition."""

    condition: str
    metric_dependencies: ClassVar[tuple[str, ...]] = ("table.rows_breaking",)
    success_keys: ClassVar[tuple[str, ...]] = ("condition",)

    def get_validation_dependencies(
        self,
        execution_engine: ExecutionEngine | None = None,
        runtime_configuration: dict[str, Any] | None = None,
        **kwargs: Any,  # noqa: ANN401  # as the base has it
    ) -> ValidationDependencies:
        """Return the metric that the rule needs: a count, unless the files' footers say that all rows satisfy it."""
        dependencies = super().get_validation_dependencies(execution_engine, runtime_configuration)
        told, meta = _told(execution_engine), self.meta or {}
        if told.in_order(meta.get("in_order", ())) or told.any_given(meta.get("any_given", ())):
            _take(dependencies, "table.rows_breaking", 0)
        return dependencies

    def _validate(self, metrics: dict[str, Any], *args: object, **kwargs: object) -> dict[str, Any]:
        rows = metrics["table.rows_breaking"]
        return {"success": rows == 0, "result": {"observed_value": rows}}


class ExpectNoRowsFrom(gxe.UnexpectedRowsExpectation):  # type: ignore[misc]
    """A Spark SQL query over `{batch}` and the step's other tables finds nothing wrong: it returns no row."""

    metric_dependencies: ClassVar[tuple[str, ...]] = ("table.rows_found",)

    def _validate(self, metrics: dict[str, Any], *args: object, **kwargs: object) -> dict[str, Any]:
        rows = metrics["table.rows_found"]
        return {"success": rows == 0, "result": {"observed_value": rows}}

    def get_validation_dependencies(
        self,
        execution_engine: ExecutionEngine | None = None,
        runtime_configuration: dict[str, Any] | None = None,
        **kwargs: Any,  # noqa: ANN401  # as the base has it
    ) -> ValidationDependencies:
        """Return the metric that the rule needs: a count by Spark, unless it is shared SQL over few rows."""
        dependencies = super().get_validation_dependencies(execution_engine, runtime_configuration)
        if (self.meta or {}).get("shared_sql") and isinstance(execution_engine, SparkDFExecutionEngine):
            query = self.unexpected_rows_query
            _take(dependencies, "table.rows_found", rows_found_among_few(execution_engine.dataframe, query))
        return dependencies


class ExpectIdsToDifferWithinDays(ExpectNoRowsFrom):
    """No two rows of a day share an id; the query, which finds the same, is asked for samples alone."""

    id_column: str
    metric_dependencies: ClassVar[tuple[str, ...]] = ("table.repeated_ids",)
    success_keys: ClassVar[tuple[str, ...]] = ("id_column", "unexpected_rows_query")

    def _validate(self, metrics: dict[str, Any], *args: object, **kwargs: object) -> dict[str, Any]:
        ids = metrics["table.repeated_ids"]
        return {"success": ids == 0, "result": {"observed_value": ids}}
