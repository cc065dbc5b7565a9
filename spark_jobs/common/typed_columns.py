"""Converts the results of a shop's expressions to the types of the contract; an invalid value becomes NULL."""

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

_MISSING: Final = ("", "null", "none", "nan", "n/a", "<na>")
"""Texts that programs write for a missing value (lower case)."""
_MISSING_IDS: Final = (*_MISSING, "na", "\\n")
"""Texts for a missing id, with those of R and MySQL. NA is no missing text, because it is the code of Namibia."""
_LONGEST_MISSING: Final = max(map(len, _MISSING_IDS))
_BLANK: Final = r"[\s\p{Z}\p{Cc}\x{feff}\x{200b}]"
"""White space of any script, control characters, byte order marks and zero-width blanks."""
_ID: Final = rf"(?is)^{_BLANK}*+(?!(?:{'|'.join(map(re.escape, _MISSING_IDS))}){_BLANK}*$)(.+?){_BLANK}*$"
"""Group 1 is an id without the blanks around it. A text for a missing id does not match."""
_CURRENCY: Final = r"[\s\p{Zs}\p{Sc}]"
_PLAIN: Final = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$|[+-]?Infinity$|NaN$"
"""Numbers as programs write them."""
_GROUPED: Final = {
    "": r"[+-]?[1-9]\d{0,2}(?:,\d{3})+\.\d+$|[+-]?[1-9]\d{0,2}(?:,\d{3}){2,}$",
    ".": r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?$",
    ",": r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?$",
}
"""Declared decimal mark -> numbers with marks between thousands. Without a declared mark, 1,234 may mean 1.234."""
_COMMA: Final = r"[+-]?(?:\d+(?:,\d*)?|,\d+)$"


def as_key(value: Column, dtype: DataType, *, blanks_only: bool = False, compose: bool = False) -> Column:
    """Return an id as text without white space of any script around it, NULL for a missing id.

    17850.0 in a column of floats becomes 17850. In a column of texts it stays, because 1.0 may be a version.

    Args:
        blanks_only: trim no other white space than blanks, which is fast.
        compose: bring ids to the Unicode normal form NFC, which takes three times as long (ADR 0006).
    """
    text = value.cast("string")
    if isinstance(dtype, (DoubleType, FloatType)):
        text = F.when(value == F.floor(value), F.floor(value).cast("string")).otherwise(text)
    elif not isinstance(dtype, (StringType, NullType)):
        return text
    if blanks_only:
        trimmed = F.trim(text)
        return F.when(_is_value(trimmed, _MISSING_IDS), trimmed)
    key = F.get(F.regexp_extract_all(text, F.lit(_ID), F.lit(1)), F.lit(0))
    return _to_nfc(key) if compose else key


def is_blank(character: str) -> bool:
    """Return whether `as_key` trims the character."""
    return unicodedata.category(character) in ("Zs", "Zl", "Zp", "Cc") or character in "\ufeff\u200b"


def _nfc_ids(ids: pa.Array) -> pa.Array:
    # The function of Arrow 25 for this returns decomposed text for every form.
    return pa.array([one and unicodedata.normalize("NFC", one) for one in ids.to_pylist()], pa.string())


_to_nfc: Final = arrow_udf(_nfc_ids, StringType())  # type: ignore[call-overload]
"""Function text -> text in the Unicode normal form NFC."""


def as_number(value: Column, dtype: DataType, decimal: str = "") -> Column:
    """Return a double; text may hold a currency sign and marks between thousands, other text gives NULL.

    `decimal` is the mark before the fraction in text, empty where the source declares none. An ambiguous text (1,234)
    then gives NULL.
    """
    if not isinstance(dtype, StringType):
        return value.try_cast("double")
    bare = F.replace(F.regexp_replace(value, _CURRENCY, ""), F.lit("½"), F.lit(f"{decimal or '.'}5"))
    if decimal == ",":
        text = F.translate(F.regexp_replace(bare, _unless(f"{_GROUPED[',']}|{_COMMA}", r"\."), ""), ",", ".")
        return text.try_cast("double")
    text = F.regexp_replace(bare, _unless(f"{_PLAIN}|{_GROUPED[decimal]}", ","), "")
    # Java would also read 10d and 10f as numbers.
    marked = reduce(or_, (F.endswith(value, F.lit(end)) for end in ("d", "D", "f", "F", " ")))
    return F.coalesce(F.when(~marked, value.try_cast("double")), text.try_cast("double"))


def _unless(pattern: str, mark: str) -> str:
    """Return a pattern that matches the whole of a text that does not match `pattern`, else every `mark` in it."""
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
    """Return the value of one unit of the currency in the base currency, NULL for a currency without a rate."""
    code, rate = F.upper(F.trim(currency.cast("string"))), F.lit(None).cast("double")
    for name, worth in {**currencies.rates, currencies.base: 1.0}.items():
        rate = F.when(code == name, F.lit(worth)).otherwise(rate)
    return rate


def has_value(value: Column, dtype: DataType) -> Column:
    """Return the condition that the shop gave a value: neither NULL nor a text for a missing value."""
    if not isinstance(dtype, StringType):
        return value.isNotNull()
    return value.isNotNull() & _is_value(F.trim(value))


def as_time(name: str, dtype: DataType, where: str) -> Column:
    """Return the column `name` as a timestamp, NULL for an invalid time. The zone is that of the text or the session.

    A text must hold a whole date, and the year must be between 1 and 9999.

    Raises:
        SourceError: the expression yields a number, which has no known unit.
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
    """Return text with runs of white space and control characters as one blank, NULL for a missing value."""
    text = F.trim(F.regexp_replace(value.cast("string"), r"[\s\p{Cntrl}\u00a0]+", " "))
    return F.when(_is_value(text), text)


def as_texts(values: Column) -> Column:
    """Return the values of a list by `as_text` without missing ones, NULL for an empty list."""
    texts = F.filter(F.transform(values, as_text), lambda text: text.isNotNull())
    return F.when(F.size(texts) > 0, texts)


def _is_value(trimmed: Column, missing: Sequence[str] = _MISSING) -> Column:
    # Counting bytes is fast. Only texts as short as "none" are turned to lower case and compared.
    return (F.octet_length(trimmed) > _LONGEST_MISSING) | ~F.lower(trimmed).isin(*missing)
