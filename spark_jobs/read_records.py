"""Reads a shop's files as raw records: its own columns, unchanged, and beside them where and how each was found.

Every text format is read as lines and parsed line by line, so that one bad line (cut off, not UTF-8, 100 MB long)
becomes one corrupt record instead of a failed job or, worse, a NULL row.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.intake.source_contract import FileForm
from spark_jobs.read_encoding import any_encoding, decoded, is_text
from spark_jobs.read_header import field_names
from spark_jobs.read_parquet import read_parquet
from spark_jobs.safe_expressions import safe_expression
from spark_jobs.sql_expressions import checked, file_columns, lenient

CORRUPT: Final = "_corrupt"
"""Raw text of a record that could not be parsed, NULL otherwise."""
SOURCE_FILE: Final = "_source_file"
FOUND: Final = (CORRUPT, SOURCE_FILE)
LONGEST_LINE: Final = 1 << 20
"""Characters. No event is a megabyte: it is a file without line ends, and would travel through every step."""
KEPT_CHARACTERS: Final = 10_000
_SHORT: Final = 100
"""Bytes. Only lines up to it are looked at for being blank: trimming copies the line."""


def read_records(spark: SparkSession, form: FileForm, paths: Sequence[str], where: str) -> DataFrame:
    """Return the file's columns (strings but for parquet), `_corrupt` and `_source_file`; `where` is not applied."""
    if form.format == "parquet":
        raw = read_parquet(spark, paths).select(
            "*", F.lit(None).cast("string").alias(CORRUPT), F.col("_metadata.file_path").alias(SOURCE_FILE)
        )
    elif form.format == "csv" and form.options.get("multiLine") == "true":
        raw = _multi_line(spark, form, paths)
    else:
        raw = _lines(spark, form, paths)
    if form.select:
        raw = _selected(raw, form.select, where)
    return raw


def _selected(raw: DataFrame, expressions: Sequence[str], where: str) -> DataFrame:
    with lenient(raw.sparkSession):
        for expression in expressions:
            checked(raw, expression, f"{where}.select")
        safe = [safe_expression(e, file_columns(raw), f"{where}.select") for e in expressions]
        # A star must not bring the two columns twice.
        stars = [e.replace("* EXCEPT (", f"* EXCEPT ({', '.join(FOUND)}, ") if "EXCEPT" in e else e for e in safe]
        stars = [f"* EXCEPT ({', '.join(FOUND)})" if e == "*" else e for e in stars]
        return raw.selectExpr(*stars, *FOUND)


def _lines(spark: SparkSession, form: FileForm, paths: Sequence[str]) -> DataFrame:
    with any_encoding(spark):
        if form.format == "text":
            text, unreadable = _text(form)
            return _blankless(spark, paths).select(text.alias("value"), unreadable.alias(CORRUPT), SOURCE_FILE)
        # Every group is read by itself: files of two folders may have one name and two headers.
        parts = [
            _parsed(_blankless(spark, members), form, names, header)
            for names, header, members in field_names(form, paths)
        ]
    return reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), parts)


def _blankless(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    lines = spark.read.text(list(paths)).select("value", F.col("_metadata.file_path").alias(SOURCE_FILE))
    return lines.where((F.octet_length("value") > _SHORT) | (F.length(F.trim("value")) > 0))


def _text(form: FileForm) -> tuple[Column, Column]:
    """Return `value` as text, NULL where it cannot be read, and what is kept of it then."""
    readable = (F.octet_length("value") <= LONGEST_LINE) & is_text(form)
    kept = F.make_valid_utf8(F.substring("value", 1, KEPT_CHARACTERS))
    return F.when(readable, decoded(form)), F.when(~readable, kept)


def _parsed(lines: DataFrame, form: FileForm, names: Sequence[str], header: str | None) -> DataFrame:
    text, unreadable = _text(form)
    if header:
        lines = lines.where(F.ltrim(decoded(form), F.lit("\ufeff")) != header)
    part = lines.select(_parser(form, text, names).alias("record"), unreadable.alias("_unreadable"), SOURCE_FILE)
    corrupt = F.coalesce(F.col("_unreadable"), F.substring(f"record.{CORRUPT}", 1, KEPT_CHARACTERS))
    return part.select(*(F.col(f"record.`{name}`") for name in names), corrupt.alias(CORRUPT), SOURCE_FILE)


def _multi_line(spark: SparkSession, form: FileForm, paths: Sequence[str]) -> DataFrame:
    """Read CSV whose quoted values hold line ends: file by file, so one bad quote may cost the rest of its file."""
    own = {"header": "true", **form.options, "mode": "PERMISSIVE", "columnNameOfCorruptRecord": CORRUPT}
    parts = []
    for names, _, members in field_names(form, paths):
        read = spark.read.schema(_ddl(names)).options(**own).csv(list(members))
        parts.append(read.select(*(f"`{n}`" for n in names), CORRUPT, F.col("_metadata.file_path").alias(SOURCE_FILE)))
    return reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), parts)


def _parser(form: FileForm, text: Column, names: Sequence[str]) -> Column:
    options = {k: v for k, v in form.options.items() if k not in ("header", "encoding")}
    options |= {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": CORRUPT}
    if form.format == "json":
        return F.from_json(text, _ddl(names), options)
    return F.from_csv(text, _ddl(names), options)


def _ddl(names: Sequence[str]) -> str:
    return ", ".join(f"`{name.replace('`', '``')}` STRING" for name in (*names, CORRUPT))
