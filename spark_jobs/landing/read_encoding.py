"""Decodes lines of any encoding."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.config.source_toml import FileForm
from pipeline_tasks.sources.text_encodings import spark_encoding

_SWITCHES: Final = ("spark.sql.legacy.javaCharsets", "spark.sql.legacy.codingErrorAction")
"""By default Spark 4 decodes seven encodings, and fails the job at an invalid byte. The first switch enables all
encodings of Java, windows-1252 among them. The second yields U+FFFD for an invalid byte, and its line is rejected."""
UNKNOWN_BYTE: Final = "\ufffd"


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
