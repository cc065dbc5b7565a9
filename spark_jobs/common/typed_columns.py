"""Turns what a shop's expressions yield into the contract's types, without ever failing on a value."""

import re
import unicodedata
from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Final

import pyarrow as pa
from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import arrow_udf
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

from pipeline_tasks.config.source_toml import Currencies
from pipeline_tasks.sources.sources import SourceError
from spark_jobs.common.safe_expressions import FIRST_SECOND, LAST_SECOND, has_date

_NOTHING: Final = ("", "null", "none", "nan", "n/a", "<na>")
"""What programs write where they have no value (lower case)."""
_NO_KEY: Final = (*_NOTHING, "na", "\\n")
"""What they write where they have no id, R and MySQL too: as a text NA is Namibia, as a user everybody unknown."""
_LONGEST: Final = max(map(len, _NO_KEY))
_AROUND: Final = r"^[\s\p{Z}\p{Cc}\x{feff}\x{200b}]+|[\s\p{Z}\p{Cc}\x{feff}\x{200b}]+$"
"""White space of any script, control characters, the byte order mark and the zero-width blank, around a text."""
_SOME_KEY: Final = f"(?is)^(?!(?:{'|'.join(map(re.escape, _NO_KEY))})$).+$"
"""A text that is none of _NO_KEY."""
_CURRENCY: Final = r"[\s\p{Zs}\p{Sc}]"
_PLAIN: Final = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$|[+-]?Infinity$|NaN$"
"""Numbers as programs write them."""
_GROUPED: Final = {
    "": r"[+-]?[1-9]\d{0,2}(?:,\d{3})+\.\d+$|[+-]?[1-9]\d{0,2}(?:,\d{3}){2,}$",
    ".": r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?$",
    ",": r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?$",
}
"""Numbers with marks between thousands, by the declared decimal mark. Where none is, 1,234 may be 1.234."""
_COMMA: Final = r"[+-]?(?:\d+(?:,\d*)?|,\d+)$"


def as_key(value: Column, dtype: DataType, compose: bool = False) -> Column:
    """Return an id as text without white space of any script around it, NULL for what programs write for nothing.

    17850.0 of a column of floats is 17850; of a text it stays, as 1.0 may be a version. `compose` brings ids to the
    Unicode normal form NFC, which takes three times as long (ADR 0006).
    """
    text = value.cast("string")
    if isinstance(dtype, (DoubleType, FloatType)):
        text = F.when(value == F.floor(value), F.floor(value).cast("string")).otherwise(text)
    elif not isinstance(dtype, (StringType, NullType)):
        return text
    trimmed = F.trim(text)
    # Nearly every id is ASCII without a tab around it: only others are looked into.
    usual = (F.octet_length(trimmed) == F.char_length(trimmed)) & (F.ascii(trimmed) > 32)
    usual = usual & ~F.endswith(trimmed, F.lit("\t")) & _says_something(trimmed, _NO_KEY)
    tidy = F.regexp_replace(text, _AROUND, "")
    other = F.get(F.regexp_extract_all(tidy, F.lit(_SOME_KEY), F.lit(0)), F.lit(0))
    return F.when(usual, trimmed).otherwise(_composed(other) if compose else other)


def _normal_forms(ids: pa.Array) -> pa.Array:
    # Arrow 25 has a function for it that returns decomposed text whatever form is asked for.
    return pa.array([one and unicodedata.normalize("NFC", one) for one in ids.to_pylist()], pa.string())


_composed: Final = arrow_udf(_normal_forms, StringType())  # type: ignore[call-overload]
"""Text -> the same in the Unicode normal form NFC."""


def as_number(value: Column, dtype: DataType, decimal: str = "") -> Column:
    """Return a double; text may hold a currency sign and marks between thousands, all else gives NULL.

    `decimal` is the mark before the fraction in text, empty where the source declares none: what has two readings then
    (1,234) is no number.
    """
    if not isinstance(dtype, StringType):
        return value.try_cast("double")
    bare = F.replace(F.regexp_replace(value, _CURRENCY, ""), F.lit("½"), F.lit(f"{decimal or '.'}5"))
    if decimal == ",":
        text = F.translate(F.regexp_replace(bare, _unless(f"{_GROUPED[',']}|{_COMMA}", r"\."), ""), ",", ".")
        return text.try_cast("double")
    text = F.regexp_replace(bare, _unless(f"{_PLAIN}|{_GROUPED[decimal]}", ","), "")
    # Java also reads 10d and 10f.
    marked = reduce(or_, (F.endswith(value, F.lit(end)) for end in ("d", "D", "f", "F", " ")))
    return F.coalesce(F.when(~marked, value.try_cast("double")), text.try_cast("double"))


def _unless(pattern: str, mark: str) -> str:
    """Return a pattern that fits all of a text that `pattern` does not fit, and every `mark` of one that it fits."""
    return f"(?s)^(?!{pattern}).*$|{mark}"


def as_rating(value: Column, dtype: DataType, decimal: str = "") -> Column:
    """Return a number as `as_number` does, or the number of stars of ★★★½☆."""
    number = as_number(value, dtype, decimal)
    if not isinstance(dtype, StringType):
        return number
    stars = F.length(value) - F.length(F.replace(value, F.lit("★")))
    halves = F.when(F.contains(value, F.lit("½")), 0.5).otherwise(0.0)
    return F.coalesce(number, F.when(value.rlike(r"^\s*★+½?☆*\s*$"), stars + halves))


def rate_of(currency: Column, currencies: Currencies) -> Column:
    """Return what one unit of the currency is worth in the base currency, NULL for one without a rate."""
    code, rate = F.upper(F.trim(currency.cast("string"))), F.lit(None).cast("double")
    for name, worth in {**currencies.rates, currencies.base: 1.0}.items():
        rate = F.when(code == name, F.lit(worth)).otherwise(rate)
    return rate


def is_given(value: Column, dtype: DataType) -> Column:
    """Whether the shop gave a value at all: not NULL, and not one of the texts that stand for nothing."""
    if not isinstance(dtype, StringType):
        return value.isNotNull()
    return value.isNotNull() & _says_something(F.trim(value))


def as_time(name: str, dtype: DataType, where: str) -> Column:
    """Return the column `name` as a timestamp, NULL for what is no time. The zone is the text's, else the session's.

    A text must hold a whole date, and the year must be one of 1 to 9999.

    Raises:
        SourceError: the expression yields a number, whose unit nobody can guess.
    """
    time = F.col(name).try_cast("timestamp")
    if isinstance(dtype, StringType):
        return F.when(F.expr(has_date(f"`{name}`")), time)
    if isinstance(dtype, (TimestampType, TimestampNTZType, DateType, NullType)):
        first, last = (F.timestamp_seconds(F.lit(second)) for second in (FIRST_SECOND, LAST_SECOND + 1))
        return F.when((time >= first) & (time < last), time)
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
