"""Turns what a shop's expressions yield into the contract's types, without ever failing on a value."""

import unicodedata
from collections.abc import Sequence
from functools import cache
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

from pipeline_tasks.intake.source_contract import Currencies
from pipeline_tasks.intake.sources import SourceError
from spark_jobs.safe_expressions import FIRST_SECOND, LAST_SECOND, has_date

_NOTHING: Final = ("", "null", "none", "nan", "n/a", "<na>")
"""What programs write where they have no value (lower case)."""
_NO_KEY: Final = (*_NOTHING, "na", "\\n")
"""What they write where they have no id, R and MySQL too: as a text NA is Namibia, as a shopper everybody unknown."""
_LONGEST: Final = max(map(len, _NO_KEY))
_BLANK: Final = r"[\s\p{Z}\p{Cc}\x{feff}\x{200b}]+"
"""White space of any script, control characters, the byte order mark and the zero-width blank."""
_AROUND: Final = f"^{_BLANK}|{_BLANK}$"
_CURRENCY: Final = r"[\s\p{Zs}\p{Sc}]"
_PLAIN: Final = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?Infinity$|^NaN$"
"""Numbers as programs write them. Java also reads 10d, 10f and 0x1p3."""
_GROUPED: Final = {
    "": r"^[+-]?[1-9]\d{0,2}(,\d{3})+\.\d+$|^[+-]?[1-9]\d{0,2}(,\d{3}){2,}$",
    ".": r"^[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?$",
    ",": r"^[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d+)?$",
}
"""Numbers with marks between thousands, by the declared decimal mark. Where none is, 1,234 may be 1.234."""
_COMMA: Final = r"^[+-]?(\d+(,\d*)?|,\d+)$"


def as_key(value: Column, dtype: DataType) -> Column:
    """Return an id as text: NFC, without white space around it, NULL for what programs write in place of nothing.

    17850.0 of a column of floats is 17850; of a text it stays, as 1.0 may be a version.
    """
    text = value.cast("string")
    if isinstance(dtype, (DoubleType, FloatType)):
        text = F.when(value == F.floor(value), F.floor(value).cast("string")).otherwise(text)
    elif not isinstance(dtype, (StringType, NullType)):
        return text
    key = F.when(_is_bare_ascii(text), text).otherwise(composed(F.regexp_replace(text, _AROUND, "")))
    return F.when(_says_something(key, _NO_KEY), key)


def as_number(value: Column, dtype: DataType, decimal: str = "") -> Column:
    """Return a double; text may hold a currency sign and marks between thousands, all else gives NULL.

    `decimal` is the mark before the fraction in text, empty where the source declares none: what has two readings then
    (1,234) is no number.
    """
    if not isinstance(dtype, StringType):
        return value.try_cast("double")
    bare = F.replace(F.regexp_replace(value, _CURRENCY, ""), F.lit("½"), F.lit(f"{decimal or '.'}5"))
    if decimal == ",":
        whole = F.when(bare.rlike(_GROUPED[","]), F.replace(bare, F.lit(".")))
        text = F.coalesce(whole, F.when(bare.rlike(_COMMA), bare))
        return F.replace(text, F.lit(","), F.lit(".")).try_cast("double")
    text = F.when(bare.rlike(_PLAIN), bare).when(bare.rlike(_GROUPED[decimal]), F.replace(bare, F.lit(",")))
    return F.coalesce(F.when(_ends_in_digit(value), value.try_cast("double")), text.try_cast("double"))


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


def composed(text: Column) -> Column:
    """Return text in which a letter and the marks behind it are one character, where there is such a one (NFC).

    Spark has no function for it, and a Java method called by reflection keeps the whole stage from being compiled.
    Korean syllables that are spelled in letters stay so: they would be 11,172 further pairs.
    """
    pairs = F.str_to_map(F.lit(_compositions()), F.lit("\n"), F.lit("\t"))
    letters = F.split(text, r"(?=\p{L}\p{M})|(?<=\p{M})(?=\P{M})")
    joined = F.array_join(F.transform(letters, lambda letter: F.coalesce(F.element_at(pairs, letter), letter)), "")
    return F.when(text.rlike(r"\p{M}"), joined).otherwise(text)


@cache
def _compositions() -> str:
    """Return a line for each letter with marks and the one character that it is: both, with a tab between."""
    pairs = {}
    for one in (chr(code) for code in range(0x00C0, 0xAC00)):
        apart = unicodedata.normalize("NFD", one)
        if len(apart) > 1 and unicodedata.normalize("NFC", apart) == one:
            half = "".join(chr(int(code, 16)) for code in unicodedata.decomposition(one).split())
            pairs |= {apart: one, half: one}
    return "\n".join(f"{apart}\t{one}" for apart, one in pairs.items())


def _is_bare_ascii(text: Column) -> Column:
    """Whether text is ASCII without white space around it, as nearly every id is: it is told without a look inside."""
    first, last = F.ascii(text), F.ascii(F.substring(text, -1, 1))
    return (F.octet_length(text) == F.char_length(text)) & (first > 32) & (last > 32)


def _ends_in_digit(text: Column) -> Column:
    """Whether text ends in a digit or a point and is no hexadecimal number: Java then reads what programs write."""
    return F.ascii(F.substring(text, -1, 1)).between(46, 57) & ~F.contains(F.lower(text), F.lit("x"))


def _says_something(trimmed: Column, nothing: Sequence[str] = _NOTHING) -> Column:
    # Bytes are counted in no time; only texts as short as "none" are turned to lower case and compared.
    return (F.octet_length(trimmed) > _LONGEST) | ~F.lower(trimmed).isin(*nothing)
