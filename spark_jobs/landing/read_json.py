"""Parses all of a line of JSON, while Spark's `from_json` stops after the first object."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import uuid4

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.common.expression_tokens import quoted
from spark_jobs.landing.read_csv import REFUSED

_TEXT: Final = "_text"
_OBJECTS: Final = "_objects"
_AROUND: Final = r"^[\uFEFF\s]+|[,\s]+$"
"""A byte order mark, white space, and the comma that some programs write after every object."""
_BETWEEN_OBJECTS: Final = r"\}\s*\{"
_SEPARATED: Final = "},\n{"
"""The line end makes the replacement safe: within a text it is invalid JSON, and the whole line is rejected."""


def json_records(
    lines: DataFrame, text: Column, names: Sequence[str], options: Mapping[str, str], keep: Sequence[str]
) -> DataFrame:
    """Return `record` (a struct of `names`), `_refused` and `keep`: one row per object of a line.

    The whole line is rejected unless it consists of objects, one after another or in one array.
    """
    # The name differs from any name in the files, so that no line can fake that it was read to its end.
    end = f"_end_{uuid4().hex}"
    fields = ", ".join(f"{quoted(name)}: STRING" for name in (*names, end))

    def parsed(objects: Column) -> Column:
        closed = F.concat(F.lit("["), objects, F.lit(f',{{"{end}":1}}]'))
        return F.from_json(closed, f"ARRAY<STRUCT<{fields}>>", {**options, "mode": "PERMISSIVE"})

    def whole(objects: Column) -> Column:
        return F.when(F.try_element_at(objects, F.lit(-1))[end].isNotNull(), objects)

    texts = lines.select(text.alias(_TEXT), *keep)
    once = texts.select("*", parsed(F.col(_TEXT)).alias(_OBJECTS))
    again = whole(parsed(_separated(F.col(_TEXT), options)))
    unread = F.array(F.lit(None).cast(f"STRUCT<{fields}>"))
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
