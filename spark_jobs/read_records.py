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
from pipeline_tasks.intake.sources import SourceError
from spark_jobs.read_header import field_names
from spark_jobs.sql_expressions import checked, lenient

CORRUPT: Final = "_corrupt"
"""Raw text of a record that could not be parsed, NULL otherwise."""
SOURCE_FILE: Final = "_source_file"
FOUND: Final = (CORRUPT, SOURCE_FILE)
LONGEST_LINE: Final = 1 << 20
"""Characters. No event is a megabyte: it is a file without line ends, and would travel through every step."""
KEPT_CHARACTERS: Final = 10_000
_SHORT: Final = 100
"""Bytes. Only lines up to it are looked at for being blank: trimming copies the line."""
RESERVED: Final = ("ds", "arrived")
"""Names of the landing's folders."""


def read_records(spark: SparkSession, form: FileForm, paths: Sequence[str], where: str) -> DataFrame:
    """Return the file's columns (strings but for parquet), `_corrupt` and `_source_file`; `where` is not applied."""
    if form.format == "parquet":
        raw = _parquet(spark, paths, where)
    elif form.format == "csv" and form.options.get("multiLine") == "true":
        raw = _multi_line(spark, form, paths)
    else:
        raw = _lines(spark, form, paths)
    if form.select:
        raw = _selected(raw, form.select, where)
    clash = [name for name in raw.columns if name.lower() in RESERVED]
    if clash:
        raise SourceError(
            f"{paths[0]} has a column {clash[0]!r}, a name that the landing needs: rename it with "
            f'select = ["* EXCEPT ({clash[0]})", "{clash[0]} AS {clash[0]}_"] in [{where}]'
        )
    return raw


def _parquet(spark: SparkSession, paths: Sequence[str], where: str) -> DataFrame:
    raw = spark.read.option("mergeSchema", str(len(paths) > 1).lower()).parquet(*paths)
    return raw.select("*", F.lit(None).cast("string").alias(CORRUPT), F.col("_metadata.file_path").alias(SOURCE_FILE))


def _selected(raw: DataFrame, expressions: Sequence[str], where: str) -> DataFrame:
    own = raw.drop(*FOUND)
    with lenient(raw.sparkSession):
        for expression in expressions:
            checked(own, expression, f"{where}.select")
        # A star must not bring the two columns twice.
        stars = [
            e.replace("* EXCEPT (", f"* EXCEPT ({', '.join(FOUND)}, ") if "EXCEPT" in e else e for e in expressions
        ]
        stars = [f"* EXCEPT ({', '.join(FOUND)})" if e == "*" else e for e in stars]
        return raw.selectExpr(*stars, *FOUND)


def _lines(spark: SparkSession, form: FileForm, paths: Sequence[str]) -> DataFrame:
    lines = spark.read.text(list(paths)).select("value", F.col("_metadata.file_path").alias(SOURCE_FILE))
    lines = lines.where((F.octet_length("value") > _SHORT) | (F.length(F.trim("value")) > 0))
    readable = (F.octet_length("value") <= LONGEST_LINE) & _is_text(form)
    text = F.when(readable, _decoded(form))
    unreadable = F.when(~readable, F.make_valid_utf8(F.substring("value", 1, KEPT_CHARACTERS)))
    if form.format == "text":
        return lines.select(text.alias("value"), unreadable.alias(CORRUPT), SOURCE_FILE)
    parsed: DataFrame | None = None
    for names, header, members in field_names(form, paths):
        part = _of_files(lines, members) if len(members) < len(paths) else lines
        part = part.where(F.ltrim("value", F.lit("\ufeff")) != header) if header else part
        part = part.select(_parser(form, text, names).alias("record"), unreadable.alias("_unreadable"), SOURCE_FILE)
        corrupt = F.coalesce(F.col("_unreadable"), F.substring(f"record.{CORRUPT}", 1, KEPT_CHARACTERS))
        part = part.select(*(F.col(f"record.`{name}`") for name in names), corrupt.alias(CORRUPT), SOURCE_FILE)
        parsed = part if parsed is None else parsed.unionByName(part, allowMissingColumns=True)
    assert parsed is not None
    return parsed


def _multi_line(spark: SparkSession, form: FileForm, paths: Sequence[str]) -> DataFrame:
    """Read CSV whose quoted values hold line ends: file by file, so one bad quote may cost the rest of its file."""
    own = {"header": "true", **form.options, "mode": "PERMISSIVE", "columnNameOfCorruptRecord": CORRUPT}
    parts = []
    for names, _, members in field_names(form, paths):
        read = spark.read.schema(_ddl(names)).options(**own).csv(list(members))
        parts.append(read.select(*(f"`{n}`" for n in names), CORRUPT, F.col("_metadata.file_path").alias(SOURCE_FILE)))
    return reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), parts)


def _of_files(lines: DataFrame, members: Sequence[str]) -> DataFrame:
    names = [member.rpartition("/")[2] for member in members]
    return lines.where(F.regexp_extract(SOURCE_FILE, "([^/]*)$", 1).isin(names))


def _is_text(form: FileForm) -> Column:
    return F.lit(True) if "encoding" in form.options else F.is_valid_utf8("value")


def _decoded(form: FileForm) -> Column:
    encoding = form.options.get("encoding")
    return F.decode(F.col("value").cast("binary"), encoding) if encoding else F.col("value")


def _parser(form: FileForm, text: Column, names: Sequence[str]) -> Column:
    options = {k: v for k, v in form.options.items() if k not in ("header", "encoding")}
    options |= {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": CORRUPT}
    if form.format == "json":
        return F.from_json(text, _ddl(names), options)
    return F.from_csv(text, _ddl(names), options)


def _ddl(names: Sequence[str]) -> str:
    return ", ".join(f"`{name.replace('`', '``')}` STRING" for name in (*names, CORRUPT))
