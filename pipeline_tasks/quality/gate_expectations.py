"""The expectation classes of the gates: Great Expectations' own, but counted in one Spark job or from file footers.

Great Expectations fetches sample values for every column rule in a Spark job of its own, even when the rule holds: 26
jobs for 13 rules on one table, 6.1 s against 1.8 s for counts alone (100,000 rows, two cores). Three modules count in
its place: `parquet_statistics` takes NULLs, bounds and rows from the files' footers, `duckdb_metrics` counts keys and
ranks where the files are on this machine, and `spark_metrics` counts all that is left in one scan. `gate_runner`
fetches samples for failed rules only. docs/experiments/validation.md has what each part saves for 18.8 million rows.

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
from pipeline_tasks.quality.repeated_ids import repeated_ids

_SAMPLES: Final = "unexpected_values"
_FAILED: Final = "unexpected_count"


class PrecountedRule:
    """Mixin of an expectation: counts that are known beforehand are not computed by Spark."""

    @property
    def unused_metrics(self) -> tuple[str, ...]:
        """Names of the metrics of the rule's own class that are not computed."""
        return ()

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
        for name, count in self.precounted(execution_engine.dataframe).items():
            if count is not None:
                given = MetricConfiguration("table.precounted", {}, {"count": count})
                dependencies.set_metric_configuration(name, given)
        for name in self.unused_metrics:
            dependencies.remove_metric_configuration(name)
        return dependencies

    def precounted(self, rows: DataFrame) -> dict[str, int | None]:
        """Return metric name -> its count, None where Spark has to count."""
        raise NotImplementedError


class CountOnlyRule(PrecountedRule, ColumnMapExpectation):  # type: ignore[misc]  # untyped base
    """A column expectation that does not fetch sample values, which take a Spark job."""

    @property
    def unused_metrics(self) -> tuple[str, ...]:
        """The metric of the sample values."""
        return (f"{self.map_metric}.{_SAMPLES}",)

    def precounted(self, rows: DataFrame) -> dict[str, int | None]:
        """Return the count of NULLs, and zero failed values where the footers prove it."""
        statistics = statistics_from_footers(rows)
        counts = {f"{self.map_metric}.{_FAILED}": 0} if self.is_proven_by(statistics) else {}
        return counts | {f"column_values.nonnull.{_FAILED}": statistics.nulls(self.column)}

    def is_proven_by(self, statistics: FooterStatistics) -> bool:
        """Return whether the footers prove that no value breaks the rule."""
        return False


# The names are Great Expectations' own, so that stored suites and Data Docs hold only standard types.
class ExpectColumnValuesToNotBeNull(CountOnlyRule, gxe.ExpectColumnValuesToNotBeNull):  # type: ignore[misc]
    """No NULL in the column."""


class ExpectColumnValuesToBeInSet(CountOnlyRule, gxe.ExpectColumnValuesToBeInSet):  # type: ignore[misc]
    """Only the listed values. NULL is allowed."""


class ExpectColumnValuesToBeBetween(CountOnlyRule, gxe.ExpectColumnValuesToBeBetween):  # type: ignore[misc]
    """Only values within the bounds. NULL is allowed; NaN is not, because Spark orders it above every bound."""

    def is_proven_by(self, statistics: FooterStatistics) -> bool:
        """Return whether the footers prove that all values are within the bounds."""
        return statistics.within(self.column, self.min_value, self.max_value, above_low=bool(self.strict_min))


class ExpectRowsToSatisfy(PrecountedRule, BatchExpectation):  # type: ignore[misc]
    """Every row satisfies a Spark SQL condition."""

    condition: str
    metric_dependencies: ClassVar[tuple[str, ...]] = ("table.failed_rows",)
    success_keys: ClassVar[tuple[str, ...]] = ("condition",)

    def precounted(self, rows: DataFrame) -> dict[str, int | None]:
        """Return zero failed rows where the condition follows from the footers."""
        statistics, meta = statistics_from_footers(rows), self.meta or {}
        in_order = statistics.in_order(meta.get("in_order", ()))
        is_proven = in_order or statistics.any_given(meta.get("any_given", ()))
        return {"table.failed_rows": 0 if is_proven else None}

    def _validate(self, metrics: dict[str, Any], *args: object, **kwargs: object) -> dict[str, Any]:
        rows = metrics["table.failed_rows"]
        return {"success": rows == 0, "result": {"observed_value": rows}}


class ExpectNoRowsFrom(PrecountedRule, gxe.UnexpectedRowsExpectation):  # type: ignore[misc]
    """A Spark SQL query for faults, over `{batch}` and the step's other tables, returns no row."""

    metric_dependencies: ClassVar[tuple[str, ...]] = ("table.query_rows",)

    def precounted(self, rows: DataFrame) -> dict[str, int | None]:
        """Return the count by DuckDB where the query is SQL that both engines share."""
        shared = (self.meta or {}).get("shared_sql")
        return {"table.query_rows": count_with_duckdb(rows, self.unexpected_rows_query) if shared else None}

    def _validate(self, metrics: dict[str, Any], *args: object, **kwargs: object) -> dict[str, Any]:
        rows = metrics["table.query_rows"]
        return {"success": rows == 0, "result": {"observed_value": rows}}


class ExpectIdsToDifferWithinDays(ExpectNoRowsFrom):
    """No two rows of a day share an id: the query for such ids returns no row."""

    id_column: str
    success_keys: ClassVar[tuple[str, ...]] = ("id_column", "unexpected_rows_query")

    def precounted(self, rows: DataFrame) -> dict[str, int | None]:
        """Return the count by sorting numbers, else as any query's."""
        ids = repeated_ids(rows, self.id_column)
        return super().precounted(rows) if ids is None else {"table.query_rows": ids}
