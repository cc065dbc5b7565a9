"""Reads lines of another encoding than UTF-8."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.config.source_toml import FileForm
from pipeline_tasks.sources.text_encodings import spark_encoding

_SWITCHES: Final = ("spark.sql.legacy.javaCharsets", "spark.sql.legacy.codingErrorAction")
"""Spark 4 decodes seven encodings, and fails the job at a byte that none of them knows. The first switch brings back
those of Java, windows-1252 among them; the second a U+FFFD in place of such a byte, by which its line is refused."""
UNKNOWN_BYTE: Final = "\ufffd"


@contextmanager
def any_encoding(spark: SparkSession) -> Iterator[None]:
    """Build columns that decode any encoding of Java's; a column keeps what it was built with."""
    before = {switch: spark.conf.get(switch) for switch in _SWITCHES}
    try:
        for switch in _SWITCHES:
            spark.conf.set(switch, "true")
        yield
    finally:
        for switch, value in before.items():
            spark.conf.set(switch, value or "false")


def decoded(form: FileForm) -> Column:
    """Return the column `value` as text. Select it within `any_encoding`."""
    encoding = spark_encoding(form) if "encoding" in form.options else None
    return F.decode(F.col("value").cast("binary"), encoding) if encoding else F.col("value")


def is_text(form: FileForm) -> Column:
    """Whether every byte of `value` is one of the encoding."""
    if "encoding" in form.options:
        return ~F.contains(decoded(form), F.lit(UNKNOWN_BYTE))
    return F.is_valid_utf8("value")
