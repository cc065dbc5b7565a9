"""Parses records of CSV, and rejects records that were read only in part.

A record is a line. With `multiLine`, quoted values may hold line ends, and a record ends at a line end outside quotes.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.common.expression_tokens import quoted
from spark_jobs.landing.csv_quotes import escaped, quote_and_escape, separator_of

REFUSED: Final = "_refused"
"""Text of a line that could not be parsed to its end, NULL otherwise."""
TOO_LONG: Final = "_too_long"
_BROKEN: Final = "_broken"
_ONE_MORE: Final = "_one_more"
_LINE_END: Final = "\r\n|\n|\r"
MOST_COLUMNS: Final = str(1 << 20)
"""As many as the longest line can have. Spark's parser ends the job at a line with more (by default 20,480)."""


def csv_records(
    lines: DataFrame, text: Column, names: Sequence[str], options: Mapping[str, str], keep: Sequence[str]
) -> DataFrame:
    """Return `record` (a struct of `names`), `_refused` and `keep`: one row per line."""
    fields = ", ".join(f"{quoted(name)} STRING" for name in (*names, _BROKEN))
    parser_options = {"maxColumns": MOST_COLUMNS, **options, "mode": "PERMISSIVE", "columnNameOfCorruptRecord": _BROKEN}
    texts = lines.select(text.alias("_text"), *keep)
    records = texts.select(F.from_csv("_text", fields, parser_options).alias("record"), "_text", *keep)
    unclosed = F.when(_is_unclosed(F.col("_text"), options), F.col("_text"))
    return records.select("record", F.coalesce(f"record.{_BROKEN}", unclosed).alias(REFUSED), *keep)


def record_texts(
    spark: SparkSession, names: Sequence[str], options: Mapping[str, str], paths: Sequence[str], file: Column
) -> DataFrame:
    """Return `value`, the text of a record of `multiLine` files, `_too_long` (it has one value too many), and `file`.

    Spark ends a value with an unclosed quote at a later quote or at the end of the file, and includes the records
    between. The text of such a value is split into lines, so that each record in it is parsed or rejected by itself.
    This is ten times as slow as reading the values, because Spark raises an exception for every text.
    """
    parser_options = {**options, "columnNameOfCorruptRecord": _BROKEN}
    # Spark returns the text of a record with another number of values than columns, so there is one column too many.
    fields = [quoted(name) for name in (*names, _ONE_MORE)]
    read = (
        spark.read.schema(", ".join(f"{name} STRING" for name in (*fields, _BROKEN)))
        .options(**parser_options)
        .csv(list(paths))
    )
    values = F.concat_ws(separator_of(options), *(F.coalesce(name, F.lit("")) for name in fields))
    text = F.coalesce(_BROKEN, values)
    lines = F.when(_spans_records(text, options), F.split(text, _LINE_END)).otherwise(F.array(text))
    return read.select(F.explode(lines).alias("value"), F.col(_BROKEN).isNull().alias(TOO_LONG), file)


def _spans_records(text: Column, options: Mapping[str, str]) -> Column:
    """Return the condition that a text has a line end outside of a valid quoted value.

    A valid quoted value begins after a separator, and a separator or the end of the record follows its closing quote.
    """
    quote, escape = quote_and_escape(options)
    bare = F.regexp_replace(text, escaped(quote, escape), "") if escape else text
    quote, separator = re.escape(quote), re.escape(separator_of(options))
    # Without a repeated group, for the reason below.
    valid = rf"(^|{separator})[ \t]*{quote}[^{quote}]*{quote}[ \t]*(?=\z|{separator})"
    return F.rlike(text, F.lit(_LINE_END)) & F.rlike(F.regexp_replace(bare, valid, "$1"), F.lit(_LINE_END))


def _is_unclosed(text: Column, options: Mapping[str, str]) -> Column:
    """Return the condition that the last quoted value of a line is unclosed: it is cut off, or has a line end."""
    quote, escape = quote_and_escape(options)
    if not quote:
        return F.lit(False)
    separator = re.escape(separator_of(options))
    bare = text if escape == quote or not escape else F.regexp_replace(text, escaped(quote, escape), "")
    odd = (F.length(bare) - F.length(F.replace(bare, F.lit(quote)))) % 2 == 1
    single = F.replace(bare, F.lit(quote + quote))
    # Without a repeated group, because Java's stack overflows on one in a long line.
    opened = F.rlike(single, F.lit(rf"(?:^|{separator})\s*{re.escape(quote)}[^{re.escape(quote)}]*$"))
    return F.contains(text, F.lit(quote)) & odd & opened
