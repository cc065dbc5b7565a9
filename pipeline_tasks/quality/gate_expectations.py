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
from pyspark.sql import DataFrame

from pipeline_tasks.quality.duckdb_metrics import count_with_duckdb
from pipeline_tasks.quality.parquet_statistics import FooterStatistics, statistics_from_footers

_SAMPLES: Final = "unexpected_values"
_BREAKING: Final = "unexpected_count"


class CountedBefore:
    """Mixed into a rule of Great Expectations: what is known before Spark counts, Spark does not count."""

    def get_validation_dependencies(
        self,
        execution_engine: ExecutionEngine | None = None,
        runtime_configuration: dict[str, Any] | None = None,
        **kwargs: Any,  # noqa: ANN401  # as the base has it
    ) -> ValidationDependencies:
        """Return the metrics that the rule needs."""
        dependencies = super().get_validation_dependencies(  # type: ignore[misc]  # of the rule's own class
            execution_engine, runtime_configuration
        )
        assert isinstance(execution_engine, SparkDFExecutionEngine)
        for name, count in self.known(execution_engine.dataframe).items():
            if count is not None:
                told = MetricConfiguration("table.told_count", {}, {"told": count})
                dependencies.set_metric_configuration(name, told)
        return dependencies

    def known(self, rows: DataFrame) -> dict[str, int | None]:
        """Return counts by the metric they stand for, None where Spark has to count."""
        raise NotImplementedError


class CountedOnly(CountedBefore, ColumnMapExpectation):  # type: ignore[misc]  # untyped base
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

    def known(self, rows: DataFrame) -> dict[str, int | None]:
        """Return no unexpected value where the footers say so, and their count of NULLs."""
        told = statistics_from_footers(rows)
        counts = {f"{self.map_metric}.{_BREAKING}": 0} if self.holds(told) else {}
        return counts | {f"column_values.nonnull.{_BREAKING}": told.nulls(self.column)}

    def holds(self, told: FooterStatistics) -> bool:
        """Return whether the footers say that no value breaks the rule."""
        return False


# Same names as Great Expectations' own, so that stored suites and Data Docs hold nothing but standard types.
class ExpectColumnValuesToNotBeNull(CountedOnly, gxe.ExpectColumnValuesToNotBeNull):  # type: ignore[misc]
    """No NULL in the column."""


class ExpectColumnValuesToBeInSet(CountedOnly, gxe.ExpectColumnValuesToBeInSet):  # type: ignore[misc]
    """Nothing but the listed values (NULL apart)."""


class ExpectColumnValuesToBeBetween(CountedOnly, gxe.ExpectColumnValuesToBeBetween):  # type: ignore[misc]
    """Within the bounds (NULL apart); NaN is above every bound in Spark, so bounds refuse it."""

    def holds(self, told: FooterStatistics) -> bool:
        """Return whether the footers say that all values are within."""
        return told.within(self.column, self.min_value, self.max_value, above_low=bool(self.strict_min))


class ExpectRowsToSatisfy(CountedBefore, BatchExpectation):  # type: ignore[misc]
    """Every row satisfies a Spark SQL condition."""

    condition: str
    metric_dependencies: ClassVar[tuple[str, ...]] = ("table.rows_breaking",)
    success_keys: ClassVar[tuple[str, ...]] = ("condition",)

    def known(self, rows: DataFrame) -> dict[str, int | None]:
        """Return none where the footers say what the condition follows from."""
        told, meta = statistics_from_footers(rows), self.meta or {}
        follows = told.in_order(meta.get("in_order", ())) or told.any_given(meta.get("any_given", ()))
        return {"table.rows_breaking": 0 if follows else None}

    def _validate(self, metrics: dict[str, Any], *args: object, **kwargs: object) -> dict[str, Any]:
        rows = metrics["table.rows_breaking"]
        return {"success": rows == 0, "result": {"observed_value": rows}}


class ExpectNoRowsFrom(CountedBefore, gxe.UnexpectedRowsExpectation):  # type: ignore[misc]
    """A Spark SQL query over `{batch}` and the step's other tables finds nothing wrong: it returns no row."""

    metric_dependencies: ClassVar[tuple[str, ...]] = ("table.rows_found",)

    def known(self, rows: DataFrame) -> dict[str, int | None]:
        """Return what DuckDB finds where the query is shared SQL over few rows, or this machine's."""
        shared = (self.meta or {}).get("shared_sql")
        return {"table.rows_found": count_with_duckdb(rows, self.unexpected_rows_query) if shared else None}

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
