"""Reads a shop's files as raw records: its columns, unchanged, with the file of each and the text of corrupt ones.

Text formats are read as lines and parsed line by line. One bad line (cut off, not UTF-8, 100 MB long) then becomes one
corrupt record, and neither fails the job nor becomes a row of NULLs.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.config.source_toml import FileForm
from pipeline_tasks.sources.source_files import day_pattern
from pipeline_tasks.sources.text_encodings import spark_encoding
from spark_jobs.common.connect_frames import analyzed
from spark_jobs.common.expression_tokens import quoted
from spark_jobs.common.safe_expressions import safe_expression
from spark_jobs.common.sql_expressions import checked, file_columns, lenient
from spark_jobs.landing.joined_types import union_of_types
from spark_jobs.landing.parse_text import (
    MOST_COLUMNS,
    REFUSED,
    TOO_LONG,
    csv_records,
    has_unclosed_quote,
    json_records,
    record_texts,
)
from spark_jobs.landing.read_header import field_names
from spark_jobs.landing.read_parquet import literal_paths, read_parquet

_SWITCHES: Final = ("spark.sql.legacy.javaCharsets", "spark.sql.legacy.codingErrorAction")
"""By default Spark 4 decodes seven encodings, and fails the job at an invalid byte. The first switch enables all
encodings of Java, windows-1252 among them. The second yields U+FFFD for an invalid byte, and its line is rejected."""
UNKNOWN_BYTE: Final = "\ufffd"
CORRUPT: Final = "_corrupt"
"""Raw text of a record that could not be parsed, else NULL."""
SOURCE_FILE: Final = "_source_file"
FOUND: Final = (CORRUPT, SOURCE_FILE)
LONGEST_LINE: Final = 1 << 20
"""Characters. A longer line is no event but a file without line ends, and every step would have to carry it."""
KEPT_CHARACTERS: Final = 10_000
_WINDOW: Final = re.compile(r"\bover\s*[(\w]", re.IGNORECASE)
_BOM: Final = "\ufeff"
_SHORT: Final = 100
"""Bytes. Longer lines are not checked for being blank, because trimming copies the line."""


@contextmanager
def any_encoding(spark: SparkSession) -> Iterator[None]:
    """Within the context, columns decode any encoding of Java; a column keeps the switches it was built with."""
    before = {switch: spark.conf.get(switch) for switch in _SWITCHES}
    try:
        for switch in _SWITCHES:
            spark.conf.set(switch, "true")
        yield
    finally:
        for switch, value in before.items():
            spark.conf.set(switch, value or "false")


def decoded(form: FileForm) -> Column:
    """Return the column `value` as text; to be selected within `any_encoding`."""
    encoding = spark_encoding(form) if "encoding" in form.options else None
    return F.decode(F.col("value").cast("binary"), encoding) if encoding else F.col("value")


def is_text(form: FileForm) -> Column:
    """Return the condition that every byte of `value` is valid in the encoding."""
    if "encoding" in form.options:
        return ~F.contains(decoded(form), F.lit(UNKNOWN_BYTE))
    return F.is_valid_utf8("value")


def read_records(
    spark: SparkSession, form: FileForm, paths: Sequence[str], where: str, origins: Mapping[str, str] | None = None
) -> DataFrame:
    """Return the files' columns (strings, except for Parquet), `_corrupt` and `_source_file`.

    The form's `where` is not applied.

    Args:
        where: table of the form in the TOML, for messages.
        origins: path -> delivered file, for paths that are copies.
    """
    groups = _by_day(form, paths, origins or {}) if any(map(_WINDOW.search, form.select)) else [list(paths)]
    frames = [_read(spark, form, group, origins or {}) for group in groups]
    if form.select:
        frames = [_selected(frame, form.select, where) for frame in frames]
    return union_of_types(frames) if len(frames) > 1 else frames[0]


def _by_day(form: FileForm, paths: Sequence[str], origins: Mapping[str, str]) -> list[list[str]]:
    """Group the files by the day in their path, so that window functions of `select` work on one delivery each."""
    days: dict[str, list[str]] = {}
    for path in paths:
        found = re.search(day_pattern(form.path or ""), origins.get(path, path))
        days.setdefault(found.group(1) if found else "", []).append(path)
    return list(days.values())


def _read(spark: SparkSession, form: FileForm, paths: Sequence[str], origins: Mapping[str, str]) -> DataFrame:
    if form.format == "parquet":
        raw = read_parquet(spark, paths, _file()).withColumn(CORRUPT, F.lit(None).cast("string"))
    elif form.format == "csv" and form.options.get("multiLine") == "true":
        raw = _multi_line(spark, form, paths)
    else:
        raw = _lines(spark, form, paths)
    return raw.withColumn(SOURCE_FILE, _origin(origins)) if origins else raw


def _file() -> Column:
    """Return the path of a row's file as it is on disk; Spark's is URL-encoded."""
    path = F.col("_metadata.file_path")
    # In a path a plus sign stands for itself; url_decode would turn it into a blank.
    decoded_path = F.url_decode(F.replace(path, F.lit("+"), F.lit("%2B")))
    return F.when(F.contains(path, F.lit("%")), decoded_path).otherwise(path).alias(SOURCE_FILE)


def _origin(origins: Mapping[str, str]) -> Column:
    """Return the delivered file of each row."""
    local = F.regexp_replace(SOURCE_FILE, "^file:(//)?", "")
    named = F.create_map(*(F.lit(text) for pair in origins.items() for text in pair))
    return F.coalesce(F.try_element_at(named, local), F.col(SOURCE_FILE))


def _selected(raw: DataFrame, expressions: Sequence[str], where: str) -> DataFrame:
    with lenient(raw.sparkSession):
        for expression in expressions:
            checked(raw, expression, f"{where}.select")
        safe = [safe_expression(e, file_columns(raw), f"{where}.select") for e in expressions]
        # A star must not select the columns FOUND a second time.
        stars = [e.replace("* EXCEPT (", f"* EXCEPT ({', '.join(FOUND)}, ") if "EXCEPT" in e else e for e in safe]
        stars = [f"* EXCEPT ({', '.join(FOUND)})" if e == "*" else e for e in stars]
        return analyzed(raw.selectExpr(*stars, *FOUND))


def _lines(spark: SparkSession, form: FileForm, paths: Sequence[str]) -> DataFrame:
    with any_encoding(spark):
        if form.format == "text":
            text, unreadable = _text(form)
            lines = _non_blank_lines(spark, paths)
            return analyzed(lines.select(text.alias("value"), unreadable.alias(CORRUPT), SOURCE_FILE))
        # Every group is read by itself, because files of two folders may share a name and differ in their headers.
        parts = [
            _parsed(_non_blank_lines(spark, members), form, names, header)
            for names, header, members in field_names(form, paths)
        ]
        return analyzed(reduce(lambda left, right: left.unionByName(right, allowMissingColumns=True), parts))


def _non_blank_lines(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    lines = spark.read.text(literal_paths(paths)).select("value", _file())
    return lines.where((F.octet_length("value") > _SHORT) | (F.length(F.trim("value")) > 0))


def _text(form: FileForm) -> tuple[Column, Column]:
    """Return `value` as text, NULL where it is unreadable, and the start of an unreadable value."""
    readable = (F.octet_length("value") <= LONGEST_LINE) & is_text(form)
    kept = F.make_valid_utf8(F.substring("value", 1, KEPT_CHARACTERS))
    return F.when(readable, _without_bom(decoded(form))), F.when(~readable, kept)


def _without_bom(text: Column) -> Column:
    """Return a text without the byte order mark with which some files begin."""
    return F.when(F.startswith(text, F.lit(_BOM)), F.ltrim(text, F.lit(_BOM))).otherwise(text)


def _parsed(lines: DataFrame, form: FileForm, names: Sequence[str], header: str | None) -> DataFrame:
    text, unreadable = _text(form)
    if header:
        lines = lines.where(F.ltrim(decoded(form), F.lit(_BOM)) != header)
    return _records(lines, text, unreadable, form, names)


def _records(lines: DataFrame, text: Column, unreadable: Column, form: FileForm, names: Sequence[str]) -> DataFrame:
    """Return the columns of `text`, one row per record; `unreadable` is the start of a line without a text."""
    keep = ["_unreadable", SOURCE_FILE]
    lines = lines.withColumn("_unreadable", unreadable)
    options = {k: v for k, v in form.options.items() if k not in ("header", "encoding")}
    parse = json_records if form.format == "json" else csv_records
    part = parse(lines, text, names, options, keep)
    corrupt = F.coalesce(F.col("_unreadable"), F.substring(REFUSED, 1, KEPT_CHARACTERS))
    return part.select(*(F.col(f"record.{quoted(name)}") for name in names), corrupt.alias(CORRUPT), SOURCE_FILE)


def _multi_line(spark: SparkSession, form: FileForm, paths: Sequence[str]) -> DataFrame:
    """Read CSV whose quoted values hold line ends, file by file."""
    # With names from `fields`, the first line is a record.
    options = {"header": "false" if form.fields else "true", "maxColumns": MOST_COLUMNS, **form.options}
    options |= {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": CORRUPT}
    parts = []
    for names, _, members in field_names(form, paths):
        unclosed = [path for path in members if has_unclosed_quote(form, path)]
        if closed := [path for path in members if path not in unclosed]:
            parts.append(_values(spark, names, options, literal_paths(closed)))
        if unclosed:
            texts = record_texts(spark, names, options, literal_paths(unclosed), _file())
            readable = ~(_is_broken(F.col("value")) | F.col(TOO_LONG))
            kept = F.when(~readable, F.substring("value", 1, KEPT_CHARACTERS))
            texts = texts.where(F.length(F.trim("value")) > 0)
            parts.append(_records(texts, F.when(readable, F.col("value")), kept, form, names))
    return reduce(lambda left, right: left.unionByName(right, allowMissingColumns=True), parts)


def _values(spark: SparkSession, names: Sequence[str], options: Mapping[str, str], paths: Sequence[str]) -> DataFrame:
    read = spark.read.schema(_ddl(names)).options(**options).csv(list(paths))
    joined_values = F.concat_ws(",", *(F.col(quoted(name)) for name in names))
    kept = F.substring(F.coalesce(CORRUPT, F.when(_is_broken(joined_values), joined_values)), 1, KEPT_CHARACTERS)
    return read.select(*map(quoted, names), kept.alias(CORRUPT), _file())


def _is_broken(text: Column) -> Column:
    """Return the condition that a text is too long, or has U+FFFD, which Spark writes for invalid bytes."""
    return F.contains(text, F.lit(UNKNOWN_BYTE)) | (F.octet_length(text) > LONGEST_LINE)


def _ddl(names: Sequence[str]) -> str:
    return ", ".join(f"{quoted(name)} STRING" for name in (*names, CORRUPT))
