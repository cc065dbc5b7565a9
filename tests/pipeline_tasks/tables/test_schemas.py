import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema, iceberg_schema, partition_spec, spark_ddl


@pytest.mark.parametrize("name", TABLES)
def test_three_renderings_agree_on_names_and_types(name: str, spark: SparkSession) -> None:
    table = TABLES[name]
    iceberg = iceberg_schema(table).as_arrow()
    arrow = arrow_schema(table)
    frame = spark.createDataFrame([], spark_ddl(table))
    assert iceberg.names == arrow.names == frame.columns == table.column_names
    assert [_plain(field.type) for field in iceberg] == [_plain(kind) for kind in arrow.types]
    assert [_plain(kind) for kind in frame.toArrow().schema.types] == [_plain(kind) for kind in arrow.types]


def _plain(kind: pa.DataType) -> str:
    text = str(kind).replace("large_", "")
    return "list" + text[text.index(": ") :].replace(" not null", "") if text.startswith("list<") else text


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_partitioned_by_day_and_has_its_key_columns(name: str) -> None:
    table = TABLES[name]
    field = partition_spec(table).fields[0]
    assert iceberg_schema(table).find_column_name(field.source_id) == "ds"
    assert set(table.key) <= set(table.column_names)
    assert all(column.doc for column in table.columns)
