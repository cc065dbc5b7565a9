"""Parses lines of CSV, and refuses a line that is read only in part."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.quoted_names import quoted

REFUSED: Final = "_refused"
"""Text of a line that could not be parsed to its end, NULL otherwise."""
_BROKEN: Final = "_broken"
_MOST_COLUMNS: Final = str(1 << 20)
"""As many as the longest line can have: with one more than its limit (20,480) Spark's parser ends the job."""


def csv_records(
    lines: DataFrame, text: Column, names: Sequence[str], options: Mapping[str, str], keep: Sequence[str]
) -> DataFrame:
    """Return `record` (a struct of `names`), `_refused` and `keep`: one row per line."""
    fields = ", ".join(f"{quoted(name)} STRING" for name in (*names, _BROKEN))
    own = {"maxColumns": _MOST_COLUMNS, **options, "mode": "PERMISSIVE", "columnNameOfCorruptRecord": _BROKEN}
    texts = lines.select(text.alias("_text"), *keep)
    records = texts.select(F.from_csv("_text", fields, own).alias("record"), "_text", *keep)
    unclosed = F.when(_is_unclosed(F.col("_text"), options), F.col("_text"))
    return records.select("record", F.coalesce(f"record.{_BROKEN}", unclosed).alias(REFUSED), *keep)


def _is_unclosed(text: Column, options: Mapping[str, str]) -> Column:
    """Whether the last quoted value of a line does not end on it: it goes on in the next line, or was cut off."""
    quote, escape = options.get("quote", '"'), options.get("escape", "\\")
    if not quote:
        return F.lit(False)
    separator = re.escape(options.get("sep", options.get("delimiter", ",")).replace("\\t", "\t"))
    bare = text if escape == quote or not escape else F.replace(text, F.lit(escape + quote))
    odd = (F.length(bare) - F.length(F.replace(bare, F.lit(quote)))) % 2 == 1
    single = F.replace(bare, F.lit(quote + quote))
    # Without a repeated group: Java's would overflow its stack in a long line.
    opened = F.rlike(single, F.lit(rf"(?:^|{separator})\s*{re.escape(quote)}[^{re.escape(quote)}]*$"))
    return F.contains(text, F.lit(quote)) & odd & opened
