"""Reads files whose columns changed their type as one table: numbers are widened, what cannot be joined is text."""

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
"""From the narrowest on."""
_DIGITS: Final = (3, 5, 10, 19)
_MOST_DIGITS: Final = 38
"""Of Spark's decimals."""
_FRACTIONAL: Final = (FloatType, DoubleType)
_TIMES: Final = (DateType, TimestampNTZType, TimestampType)
_LARGEST_WHOLE: Final = 1e18
"""Below what a bigint holds."""


def joined_type(one: DataType, other: DataType) -> DataType:
    """Return a type that holds the values of both."""
    if isinstance(one, NullType) or _same(one, other):
        return other
    if isinstance(other, NullType):
        return one
    if isinstance(one, StructType) and isinstance(other, StructType):
        return _joined_struct(one, other)
    if isinstance(one, ArrayType) and isinstance(other, ArrayType):
        return ArrayType(joined_type(one.elementType, other.elementType))
    if isinstance(one, _TIMES) and isinstance(other, _TIMES):
        return TimestampNTZType() if {type(one), type(other)} == {DateType, TimestampNTZType} else TimestampType()
    return _joined_number(one, other)


def _same(one: DataType, other: DataType) -> bool:
    return one.simpleString() == other.simpleString()


def _joined_number(one: DataType, other: DataType) -> DataType:
    kinds = (*_WHOLE, *_FRACTIONAL, DecimalType)
    if not isinstance(one, kinds) or not isinstance(other, kinds):
        return StringType()
    if isinstance(one, _WHOLE) and isinstance(other, _WHOLE):
        return max(one, other, key=lambda dtype: _WHOLE.index(type(dtype)))
    if isinstance(one, _FRACTIONAL) or isinstance(other, _FRACTIONAL):
        return DoubleType()
    parts = [_digits(dtype) for dtype in (one, other)]
    before, after = max(part[0] for part in parts), max(part[1] for part in parts)
    return DecimalType(before + after, after) if before + after <= _MOST_DIGITS else DoubleType()


def _digits(dtype: DataType) -> tuple[int, int]:
    """Return how many digits a number has before and after its point."""
    if isinstance(dtype, DecimalType):
        return dtype.precision - dtype.scale, dtype.scale
    return next(digits for kind, digits in zip(_WHOLE, _DIGITS, strict=True) if isinstance(dtype, kind)), 0


def _joined_struct(one: StructType, other: StructType) -> StructType:
    types: dict[str, tuple[str, DataType]] = {}
    for field in (*one.fields, *other.fields):
        name, known = types.get(field.name.lower(), (field.name, NullType()))
        types[field.name.lower()] = name, joined_type(known, field.dataType)
    return StructType([StructField(name, dtype) for name, dtype in types.values()])


def as_type(value: Column, own: DataType, wanted: DataType) -> Column:
    """Return a column of the type `own` as `wanted`, which is `own` joined with other types."""
    if _same(own, wanted):
        return value
    if isinstance(own, NullType):
        return F.lit(None).cast(wanted)
    if isinstance(own, StructType) and isinstance(wanted, StructType):
        known = {field.name.lower(): field for field in own.fields}
        fields = [_field(value, known.get(field.name.lower()), field) for field in wanted.fields]
        return F.when(value.isNotNull(), F.struct(*fields))
    if isinstance(own, ArrayType) and isinstance(wanted, ArrayType):
        element, joined = own.elementType, wanted.elementType
        return F.transform(value, lambda each: as_type(each, element, joined))
    if isinstance(wanted, StringType):
        return _as_text(value, own)
    return value.cast(wanted)


def _field(value: Column, own: StructField | None, wanted: StructField) -> Column:
    if own is None:
        return F.lit(None).cast(wanted.dataType).alias(wanted.name)
    return as_type(value.getField(own.name), own.dataType, wanted.dataType).alias(wanted.name)


def _as_text(value: Column, own: DataType) -> Column:
    """Return a value as text, a whole number without a point: 1001.0 of one file is 1001 of another."""
    if isinstance(own, (StructType, ArrayType, MapType)):
        return F.to_json(value)
    if isinstance(own, (*_FRACTIONAL, DecimalType)):
        whole = (F.abs(value) < _LARGEST_WHOLE) & (value == F.floor(value))
        return F.when(whole, value.cast("bigint").cast("string")).otherwise(value.cast("string"))
    return value.cast("string")


def union_of_types(frames: Sequence[DataFrame], as_text: Callable[[str], bool] = lambda _: False) -> DataFrame:
    """Return the rows of all frames with the columns of all; `as_text` tells which numbers must not be widened."""
    joined = reduce(_joined_struct, (frame.schema for frame in frames))
    fields = [
        StructField(field.name, StringType() if as_text(field.name) else _storable(field.dataType))
        for field in joined.fields
    ]
    parts = [_selected(frame, fields) for frame in frames]
    return reduce(DataFrame.unionByName, parts)


def _storable(dtype: DataType) -> DataType:
    """Return the type with text in the place of what is NULL everywhere, which Parquet files cannot hold."""
    if isinstance(dtype, StructType):
        return StructType([StructField(field.name, _storable(field.dataType)) for field in dtype.fields])
    if isinstance(dtype, ArrayType):
        return ArrayType(_storable(dtype.elementType))
    return StringType() if isinstance(dtype, NullType) else dtype


def _selected(frame: DataFrame, fields: Sequence[StructField]) -> DataFrame:
    known = {field.name.lower(): field for field in frame.schema.fields}
    columns = []
    for field in fields:
        own = known.get(field.name.lower())
        name = (own or field).name
        value = as_type(F.col(quoted(name)), own.dataType, field.dataType) if own else F.lit(None).cast(field.dataType)
        columns.append(value.alias(field.name))
    return frame.select(*columns)
