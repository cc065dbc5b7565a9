"""Parses records of CSV and lines of JSON, and rejects records that were read only in part.

By the format, a quoted value begins after a separator, and a separator or a line end follows its closing quote.

A record is a line. With `multiLine`, quoted values may hold line ends, and a record ends at a line end outside quotes.
"""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final
from uuid import uuid4

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType, StructField, StructType

from pipeline_tasks.config.source_toml import FileForm
from pipeline_tasks.lake.files import file_location
from spark_jobs.common.expression_tokens import quoted

_BLANKS: Final = " \t"
REFUSED: Final = "_refused"
"""Text of a line that could not be parsed to its end, NULL otherwise."""
TOO_LONG: Final = "_too_long"
_BROKEN: Final = "_broken"
_ONE_MORE: Final = "_one_more"
_LINE_END: Final = "\r\n|\n|\r"
MOST_COLUMNS: Final = str(1 << 20)
"""As many as the longest line can have. Spark's parser ends the job at a line with more (by default 20,480)."""
_TEXT: Final = "_text"
_OBJECTS: Final = "_objects"
_AROUND: Final = r"^[\uFEFF\s]+|[,\s]+$"
"""A byte order mark, white space, and the comma that some programs write after every object."""
_BETWEEN_OBJECTS: Final = r"\}\s*\{"
_SEPARATED: Final = "},\n{"
"""The line end makes the replacement safe: within a text it is invalid JSON, and the whole line is rejected."""


def has_unclosed_quote(form: FileForm, path: str) -> bool:
    """Return whether a quoted value with a line end is never closed, or is closed within another value."""
    system, inner = file_location(path)
    with system.open_input_stream(inner, compression="detect") as stream:
        # Files of other encodings were rewritten as UTF-8. With `newline=None`, lines end where Spark ends them.
        return _has_unclosed_quote(io.TextIOWrapper(stream, "utf-8", errors="replace", newline=None), form.options)


def separator_of(options: Mapping[str, str]) -> str:
    """Return the separator of the values of a line."""
    return options.get("sep", options.get("delimiter", ",")).replace("\\t", "\t")


def quote_and_escape(options: Mapping[str, str]) -> tuple[str, str]:
    """Return the quote, and the character that escapes a quote within a value, with Spark's defaults."""
    return options.get("quote", '"'), options.get("escape", "\\")


def escaped(quote: str, escape: str) -> str:
    """Return the pattern of an escaped quote, or of an escaped escape character, within a value."""
    return f"{re.escape(escape)}[{re.escape(escape + quote)}]"


def _has_unclosed_quote(lines: Iterable[str], options: Mapping[str, str]) -> bool:
    (quote, escape), separator = quote_and_escape(options), separator_of(options)
    if not quote:
        return False
    escapes = re.compile(escaped(quote, escape)) if escape else None
    inside = crossed = False
    for line in lines:
        if quote not in line:
            continue
        bare = escapes.sub("", line) if escapes and escape in line else line
        parts = bare.rstrip("\r\n").split(quote)
        for place, (before, after) in enumerate(pairwise(parts)):
            if not inside:
                # A quote within an unquoted value is a plain character.
                inside = before.rstrip(" ").endswith(separator) or (place == 0 and not before.strip(" "))
                continue
            is_last = place == len(parts) - 2 and not after.strip(_BLANKS)
            if crossed and not (is_last or after.lstrip(" ").startswith(separator)):
                return True
            inside = crossed = False
        crossed = inside
    return inside


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


def json_records(
    lines: DataFrame, text: Column, names: Sequence[str], options: Mapping[str, str], keep: Sequence[str]
) -> DataFrame:
    """Return `record` (a struct of `names`), `_refused` and `keep`: one row per object of a line.

    The whole line is rejected unless it consists of objects, one after another or in one array.
    """
    # The name differs from any name in the files, so that no line can fake that it was read to its end.
    end = f"_end_{uuid4().hex}"
    # A type, because Spark Connect reads ${…} within the text of a type as a variable.
    fields = StructType([StructField(name, StringType()) for name in (*names, end)])

    def parsed(objects: Column) -> Column:
        closed = F.concat(F.lit("["), objects, F.lit(f',{{"{end}":1}}]'))
        return F.from_json(closed, ArrayType(fields), {**options, "mode": "PERMISSIVE"})

    def whole(objects: Column) -> Column:
        return F.when(F.try_element_at(objects, F.lit(-1))[end].isNotNull(), objects)

    texts = lines.select(text.alias(_TEXT), *keep)
    once = texts.select("*", parsed(F.col(_TEXT)).alias(_OBJECTS))
    again = whole(parsed(_separated(F.col(_TEXT), options)))
    unread = F.array(F.lit(None).cast(fields))
    record = F.explode(F.coalesce(whole(F.col(_OBJECTS)), again, unread)).alias("record")
    records = once.select(record, _TEXT, *keep).where(F.col("record").isNull() | F.col("record")[end].isNull())
    refused = F.when(F.col("record").isNull(), F.col(_TEXT))
    return records.select("record", refused.alias(REFUSED), *keep)


def _separated(text: Column, options: Mapping[str, str]) -> Column:
    """Return the objects of a line with commas between them."""
    bare = F.regexp_replace(text, _AROUND, "")
    array = F.startswith(bare, F.lit("[")) & F.endswith(bare, F.lit("]"))
    inner = F.when(array, F.substring(bare, F.lit(2), F.length(bare) - 2)).otherwise(bare)
    if options.get("allowUnquotedControlChars", "").lower() == "true":
        return inner
    return F.regexp_replace(inner, _BETWEEN_OBJECTS, _SEPARATED)
