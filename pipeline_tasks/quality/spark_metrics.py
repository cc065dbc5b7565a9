"""What the gates' own rules count: metrics for Great Expectations, of a whole table, by Spark.

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
from pipeline_tasks.quality.repeated_ids import repeated_ids


class CountedTogether(TableMetricProvider):  # type: ignore[misc]
    """An aggregate that waits for the column rules, which Great Expectations counts last, and shares their scan."""

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
            # Every table has a ds: its condition is made one step before conditions are counted.
            domain = {**metric.metric_domain_kwargs, "column": "ds"}
            dependencies["column_rules"] = MetricConfiguration("column_values.nonnull.condition", domain)
        return dependencies


class RowsBreaking(CountedTogether):
    """Rows for which a Spark SQL condition is false or NULL; an aggregate, so it shares the table's one job."""

    metric_name = "table.rows_breaking"
    value_keys = ("condition",)

    @metric_partial(  # type: ignore[untyped-decorator]
        engine=SparkDFExecutionEngine,
        partial_fn_type=MetricPartialFunctionTypes.AGGREGATE_FN,
        domain_type=MetricDomainTypes.TABLE,
    )
    def _spark(
        cls,  # noqa: N805  # the decorator makes it a class method
        execution_engine: SparkDFExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> tuple[Column, dict[str, Any], dict[str, Any]]:
        return (
            sf.count_if(~sf.coalesce(sf.expr(metric_value_kwargs["condition"]), sf.lit(False))),
            metric_domain_kwargs,
            {},
        )


class RowsFound(CountedTogether):
    """Rows that a query returns, as a scalar subquery, so that it too runs within the table's one Spark query."""

    metric_name = "table.rows_found"
    value_keys = ("unexpected_rows_query",)

    @metric_partial(  # type: ignore[untyped-decorator]
        engine=SparkDFExecutionEngine,
        partial_fn_type=MetricPartialFunctionTypes.AGGREGATE_FN,
        domain_type=MetricDomainTypes.TABLE,
    )
    def _spark(
        cls,  # noqa: N805  # the decorator makes it a class method
        execution_engine: SparkDFExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> tuple[Column, dict[str, Any], dict[str, Any]]:
        query = over_batch(execution_engine.dataframe, metric_value_kwargs["unexpected_rows_query"])
        return sf.expr(f"(SELECT count(*) FROM ({query}))"), metric_domain_kwargs, {}


def over_batch(rows: DataFrame, query: str) -> str:
    """Return `query` with `{batch}` standing for a view of `rows`."""
    rows.createOrReplaceTempView("gate_batch")
    return query.format(batch="gate_batch")


class RepeatedIds(TableMetricProvider):  # type: ignore[misc]
    """Ids that stand in two rows of a day or more."""

    metric_name = "table.repeated_ids"
    value_keys = ("id_column",)

    @metric_value(engine=SparkDFExecutionEngine)  # type: ignore[untyped-decorator]
    def _spark(
        cls,  # noqa: N805  # the decorator makes it a class method
        execution_engine: SparkDFExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> int:
        return repeated_ids(execution_engine.dataframe, metric_value_kwargs["id_column"])


class RowCount(TableMetricProvider):  # type: ignore[misc]
    """Rows of the table, from the footers of its files where it has some; every column rule asks for them first.

    In place of Great Expectations' own, a Spark job by itself: 1.2 s of a cold one, .3 of another.
    """

    metric_name = "table.row_count"

    @metric_value(engine=SparkDFExecutionEngine)  # type: ignore[untyped-decorator]
    def _spark(
        cls,  # noqa: N805  # the decorator makes it a class method
        execution_engine: SparkDFExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> int:
        told = statistics_from_footers(execution_engine.dataframe).rows()
        return execution_engine.dataframe.count() if told is None else told


class ToldCount(TableMetricProvider):  # type: ignore[misc]
    """A count that a rule knew before anything was counted (gate_expectations.CountedBefore)."""

    metric_name = "table.told_count"
    value_keys = ("told",)

    @metric_value(engine=SparkDFExecutionEngine)  # type: ignore[untyped-decorator]
    def _spark(
        cls,  # noqa: N805  # the decorator makes it a class method
        execution_engine: SparkDFExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> int:
        return int(metric_value_kwargs["told"])
