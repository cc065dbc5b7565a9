"""Reads files with different column types as one table: numbers are widened, other types become text."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    ByteType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    NullType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from spark_jobs.common.expression_tokens import quoted

_WHOLE: Final = (ByteType, ShortType, IntegerType, LongType)
"""Integer types, the narrowest first."""
_DIGITS: Final = (3, 5, 10, 19)
_MOST_DIGITS: Final = 38
"""Most digits of Spark's decimals."""
_FRACTIONAL: Final = (FloatType, DoubleType)
_TIMES: Final = (DateType, TimestampNTZType, TimestampType)
_LARGEST_WHOLE: Final = 1e18
"""Bound of the numbers that are cast to bigint, within its range."""


def joined_type(left: DataType, right: DataType) -> DataType:
    """Return a type that holds the values of both types."""
    if isinstance(left, NullType) or _same(left, right):
        return right
    if isinstance(right, NullType):
        return left
    if isinstance(left, StructType) and isinstance(right, StructType):
        return _joined_struct(left, right)
    if isinstance(left, ArrayType) and isinstance(right, ArrayType):
        return ArrayType(joined_type(left.elementType, right.elementType))
    if isinstance(left, _TIMES) and isinstance(right, _TIMES):
        return TimestampNTZType() if {type(left), type(right)} == {DateType, TimestampNTZType} else TimestampType()
    return _joined_number(left, right)


def _same(left: DataType, right: DataType) -> bool:
    return left.simpleString() == right.simpleString()


def _joined_number(left: DataType, right: DataType) -> DataType:
    kinds = (*_WHOLE, *_FRACTIONAL, DecimalType)
    if not isinstance(left, kinds) or not isinstance(right, kinds):
        return StringType()
    if isinstance(left, _WHOLE) and isinstance(right, _WHOLE):
        return max(left, right, key=lambda dtype: _WHOLE.index(type(dtype)))
    if isinstance(left, _FRACTIONAL) or isinstance(right, _FRACTIONAL):
        return DoubleType()
    parts = [_digits(dtype) for dtype in (left, right)]
    before, after = max(part[0] for part in parts), max(part[1] for part in parts)
    return DecimalType(before + after, after) if before + after <= _MOST_DIGITS else DoubleType()


def _digits(dtype: DataType) -> tuple[int, int]:
    """Return the number of digits before and after the decimal point."""
    if isinstance(dtype, DecimalType):
        return dtype.precision - dtype.scale, dtype.scale
    return next(digits for kind, digits in zip(_WHOLE, _DIGITS, strict=True) if isinstance(dtype, kind)), 0


def _joined_struct(left: StructType, right: StructType) -> StructType:
    types: dict[str, tuple[str, DataType]] = {}
    for field in (*left.fields, *right.fields):
        name, known = types.get(field.name.lower(), (field.name, NullType()))
        types[field.name.lower()] = name, joined_type(known, field.dataType)
    return StructType([StructField(name, dtype) for name, dtype in types.values()])


def as_type(value: Column, source_type: DataType, target_type: DataType) -> Column:
    """Return a column of `source_type` as `target_type`, which is `source_type` joined with other types."""
    if _same(source_type, target_type):
        return value
    if isinstance(source_type, NullType):
        return F.lit(None).cast(target_type)
    if isinstance(source_type, StructType) and isinstance(target_type, StructType):
        known = {field.name.lower(): field for field in source_type.fields}
        fields = [_field(value, known.get(field.name.lower()), field) for field in target_type.fields]
        return F.when(value.isNotNull(), F.struct(*fields))
    if isinstance(source_type, ArrayType) and isinstance(target_type, ArrayType):
        element, joined = source_type.elementType, target_type.elementType
        return F.transform(value, lambda each: as_type(each, element, joined))
    if isinstance(target_type, StringType):
        return _as_text(value, source_type)
    return value.cast(target_type)


def _field(value: Column, source_type: StructField | None, target_type: StructField) -> Column:
    if source_type is None:
        return F.lit(None).cast(target_type.dataType).alias(target_type.name)
    return as_type(value.getField(source_type.name), source_type.dataType, target_type.dataType).alias(target_type.name)


def _as_text(value: Column, source_type: DataType) -> Column:
    """Return a value as text, a whole number without a decimal point: 1001.0 and 1001 are one id."""
    if isinstance(source_type, (StructType, ArrayType, MapType)):
        return F.to_json(value)
    if isinstance(source_type, (*_FRACTIONAL, DecimalType)):
        whole = (F.abs(value) < _LARGEST_WHOLE) & (value == F.floor(value))
        return F.when(whole, value.cast("bigint").cast("string")).otherwise(value.cast("string"))
    return value.cast("string")


def union_of_types(frames: Sequence[DataFrame], as_text: Callable[[str], bool] = lambda _: False) -> DataFrame:
    """Return the rows and columns of all frames; columns for which `as_text` is true become text."""
    joined = reduce(_joined_struct, (frame.schema for frame in frames))
    fields = [
        StructField(field.name, StringType() if as_text(field.name) else _storable(field.dataType))
        for field in joined.fields
    ]
    parts = [_selected(frame, fields) for frame in frames]
    return reduce(DataFrame.unionByName, parts)


def _storable(dtype: DataType) -> DataType:
    """Return the type with text in place of the type of NULL, which Parquet files cannot hold."""
    if isinstance(dtype, StructType):
        return StructType([StructField(field.name, _storable(field.dataType)) for field in dtype.fields])
    if isinstance(dtype, ArrayType):
        return ArrayType(_storable(dtype.elementType))
    return StringType() if isinstance(dtype, NullType) else dtype


def _selected(frame: DataFrame, fields: Sequence[StructField]) -> DataFrame:
    known = {field.name.lower(): field for field in frame.schema.fields}
    columns = []
    for field in fields:
        source_type = known.get(field.name.lower())
        name = (source_type or field).name
        value = (
            as_type(F.col(quoted(name)), source_type.dataType, field.dataType)
            if source_type
            else F.lit(None).cast(field.dataType)
        )
        columns.append(value.alias(field.name))
    return frame.select(*columns)
