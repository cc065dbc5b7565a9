"""Metrics of Great Expectations for the gates' own rules. Spark computes them over a whole table.

Importing this module imports Great Expectations (4 s of processor time): import it only where a gate runs.
"""

from typing import Any

from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.metric_function_types import MetricPartialFunctionTypes
from great_expectations.execution_engine import ExecutionEngine, SparkDFExecutionEngine
from great_expectations.expectations.metrics.metric_provider import metric_partial, metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.validator.metric_configuration import MetricConfiguration
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as sf

from pipeline_tasks.quality.parquet_statistics import statistics_from_footers


class SharedScanMetric(TableMetricProvider):  # type: ignore[misc]
    """An aggregate that is computed with the column rules, which Great Expectations counts last, in the same scan."""

    @classmethod
    def _get_evaluation_dependencies(
        cls,
        metric: MetricConfiguration,
        configuration: Any = None,  # noqa: ANN401  # as the base has it
        execution_engine: ExecutionEngine | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> dict[str, MetricConfiguration]:
        dependencies: dict[str, MetricConfiguration] = super()._get_evaluation_dependencies(
            metric, configuration, execution_engine, runtime_configuration
        )
        if metric.metric_name.endswith(MetricPartialFunctionTypes.AGGREGATE_FN.metric_suffix):
            # Every table has a column ds. Its condition is resolved one step before conditions are counted.
            domain = {**metric.metric_domain_kwargs, "column": "ds"}
            dependencies["column_rules"] = MetricConfiguration("column_values.nonnull.condition", domain)
        return dependencies


_aggregate = metric_partial(
    engine=SparkDFExecutionEngine,
    partial_fn_type=MetricPartialFunctionTypes.AGGREGATE_FN,
    domain_type=MetricDomainTypes.TABLE,
)
_value = metric_value(engine=SparkDFExecutionEngine)
Kwargs = dict[str, Any]
Aggregate = tuple[Column, Kwargs, Kwargs]


class FailedRows(SharedScanMetric):
    """The count of rows for which a Spark SQL condition is false or NULL, as an aggregate of the shared scan."""

    metric_name = "table.failed_rows"
    value_keys = ("condition",)

    @staticmethod
    @_aggregate  # type: ignore[untyped-decorator]
    def _spark(metric_domain_kwargs: Kwargs, metric_value_kwargs: Kwargs, **_: object) -> Aggregate:
        satisfied = sf.coalesce(sf.expr(metric_value_kwargs["condition"]), sf.lit(False))
        return sf.count_if(~satisfied), metric_domain_kwargs, {}


class QueryRows(SharedScanMetric):
    """The count of rows that a query returns. It is a scalar subquery, so it runs within the same Spark query."""

    metric_name = "table.query_rows"
    value_keys = ("unexpected_rows_query",)

    @staticmethod
    @_aggregate  # type: ignore[untyped-decorator]
    def _spark(
        execution_engine: SparkDFExecutionEngine,
        metric_domain_kwargs: Kwargs,
        metric_value_kwargs: Kwargs,
        **_: object,
    ) -> Aggregate:
        query = over_batch(execution_engine.dataframe, metric_value_kwargs["unexpected_rows_query"])
        return sf.expr(f"(SELECT count(*) FROM ({query}))"), metric_domain_kwargs, {}


def over_batch(rows: DataFrame, query: str) -> str:
    """Return `query` with `{batch}` replaced by the name of a view of `rows`, which is created."""
    rows.createOrReplaceTempView("gate_batch")
    return query.format(batch="gate_batch")


class RowCount(TableMetricProvider):  # type: ignore[misc]
    """The number of rows of the table, from the footers of its files where it has some.

    Every column rule needs it. Great Expectations' own metric takes a Spark job of its own: 1.2 s in a cold session, .3
    s later.
    """

    metric_name = "table.row_count"

    @staticmethod
    @_value  # type: ignore[untyped-decorator]
    def _spark(execution_engine: SparkDFExecutionEngine, **_: object) -> int:
        n_rows = statistics_from_footers(execution_engine.dataframe).rows()
        return execution_engine.dataframe.count() if n_rows is None else n_rows


class Precounted(TableMetricProvider):  # type: ignore[misc]
    """A count that was known beforehand (gate_expectations.PrecountedRule)."""

    metric_name = "table.precounted"
    value_keys = ("count",)

    @staticmethod
    @_value  # type: ignore[untyped-decorator]
    def _spark(metric_value_kwargs: Kwargs, **_: object) -> int:
        return int(metric_value_kwargs["count"])
