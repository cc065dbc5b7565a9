"""Renders a table contract as Spark DDL, a pyarrow schema or an Iceberg schema."""

from typing import Final

import pyarrow as pa
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    BooleanType,
    DateType,
    DoubleType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)

from pipeline_tasks.tables.contracts import DataType, Table

# The gates check nullability. All columns of files are nullable, because Spark writes them so and pyiceberg's
# add_files refuses an optional column for a required field.
_SPARK: Final[dict[DataType, str]] = {"long": "bigint", "array<long>": "array<bigint>"}
_ARROW: Final[dict[DataType, pa.DataType]] = {
    "string": pa.string(),
    "long": pa.int64(),
    "int": pa.int32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "array<string>": pa.list_(pa.string()),
    "array<long>": pa.list_(pa.int64()),
    "array<double>": pa.list_(pa.float64()),
}
_ICEBERG: Final[dict[DataType, IcebergType]] = {
    "string": StringType(),
    "long": LongType(),
    "int": IntegerType(),
    "double": DoubleType(),
    "boolean": BooleanType(),
    "date": DateType(),
    "timestamp": TimestamptzType(),
}
_ELEMENTS: Final[dict[DataType, IcebergType]] = {
    "array<string>": StringType(),
    "array<long>": LongType(),
    "array<double>": DoubleType(),
}


def spark_ddl(table: Table) -> str:
    """Return the contract as Spark DDL, for `spark.read.schema`."""
    return ", ".join(f"{column.name} {_SPARK.get(column.dtype, column.dtype)}" for column in table.columns)


def arrow_schema(table: Table) -> pa.Schema:
    """Return the contract as a pyarrow schema."""
    return pa.schema([pa.field(column.name, _ARROW[column.dtype]) for column in table.columns])


def iceberg_schema(table: Table) -> Schema:
    """Return the contract as an Iceberg schema with field ids in contract order."""
    element_id = len(table.columns)
    fields: list[NestedField] = []
    for number, column in enumerate(table.columns, start=1):
        if column.dtype.startswith("array<"):
            element_id += 1
            element = _ELEMENTS[column.dtype]
            kind: IcebergType = ListType(element_id=element_id, element=element, element_required=False)
        else:
            kind = _ICEBERG[column.dtype]
        fields.append(NestedField(number, column.name, kind, required=False, doc=column.doc))
    return Schema(*fields)


def partition_spec(table: Table) -> PartitionSpec:
    """Return the partitioning of every table: identity of `ds`."""
    field_id = table.column_names.index("ds") + 1
    return PartitionSpec(PartitionField(field_id, 1000, IdentityTransform(), "ds"))
