"""Turns what a shop's expressions yield into the contract's types, without ever failing on a value."""

from collections.abc import Sequence
from typing import Final

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import (
    DataType,
    DateType,
    DoubleType,
    FloatType,
    NullType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from pipeline_tasks.intake.sources import SourceError

_NOTHING: Final = ("", "null", "none", "nan", "n/a", "<na>")
"""What programs write where they have no value (lower case)."""
_NO_KEY: Final = (*_NOTHING, "na", "\\n")
"""What they write where they have no id, R and MySQL too: as a text NA is Namibia, as a shopper everybody unknown."""
_LONGEST: Final = max(map(len, _NO_KEY))
_GROUPED: Final = r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"
_CURRENCY: Final = r"[\s$€£¥]"


def as_key(value: Column, dtype: DataType) -> Column:
    """Return an id as text: trimmed, NULL for what programs write in place of nothing, 17850.0 as 17850."""
    text = value.cast("string")
    if isinstance(dtype, (DoubleType, FloatType)):
        text = F.when(value == F.floor(value), F.floor(value).cast("string")).otherwise(text)
    elif not isinstance(dtype, (StringType, NullType)):
        return text
    return F.when(_says_something(F.trim(text), _NO_KEY), F.trim(text))


def as_number(value: Column, dtype: DataType) -> Column:
    """Return a double; text may hold a currency sign and commas between thousands, all else gives NULL."""
    if not isinstance(dtype, StringType):
        return value.try_cast("double")
    bare = F.regexp_replace(value, _CURRENCY, "")
    return F.coalesce(
        value.try_cast("double"),
        F.when(bare.rlike(_GROUPED), F.replace(bare, F.lit(","))).otherwise(bare).try_cast("double"),
    )


def is_given(value: Column, dtype: DataType) -> Column:
    """Whether the shop gave a value at all: not NULL, and not one of the texts that stand for nothing."""
    if not isinstance(dtype, StringType):
        return value.isNotNull()
    return value.isNotNull() & _says_something(F.trim(value))


def as_time(value: Column, dtype: DataType, where: str) -> Column:
    """Return a timestamp (in the session's zone where the text says none), NULL for what is no time.

    Raises:
        SourceError: the expression yields a number, whose unit nobody can guess.
    """
    if isinstance(dtype, (TimestampType, TimestampNTZType, DateType, StringType, NullType)):
        return value.try_cast("timestamp")
    raise SourceError(
        f"{where} yields {dtype.simpleString()}, not a time: wrap it in timestamp_seconds(…) or timestamp_millis(…)"
    )


def as_text(value: Column) -> Column:
    """Return text with control characters and runs of white space as one blank, NULL when nothing is left."""
    text = F.trim(F.regexp_replace(value.cast("string"), r"[\s\p{Cntrl}\u00a0]+", " "))
    return F.when(_says_something(text), text)


def as_texts(values: Column) -> Column:
    """Return a list's values by `as_text`, without those of which nothing is left; NULL for an empty list."""
    texts = F.filter(F.transform(values, as_text), lambda text: text.isNotNull())
    return F.when(F.size(texts) > 0, texts)


def _says_something(trimmed: Column, nothing: Sequence[str] = _NOTHING) -> Column:
    # Bytes are counted in no time; only texts as short as "none" are turned to lower case and compared.
    return (F.octet_length(trimmed) > _LONGEST) | ~F.lower(trimmed).isin(*nothing)
