"""Reads lines of another encoding than UTF-8."""

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.intake.source_contract import FileForm
from pipeline_tasks.intake.sources import SourceError

_SWITCHES: Final = ("spark.sql.legacy.javaCharsets", "spark.sql.legacy.codingErrorAction")
"""Spark 4 decodes seven encodings, and fails the job at a byte that none of them knows. The first switch brings back
those of Java, windows-1252 among them; the second a U+FFFD in place of such a byte, by which its line is refused."""
_UNKNOWN_BYTE: Final = "\ufffd"


def require_encoding(form: FileForm) -> str | None:
    """Return the encoding that the form says, None where it says none.

    Raises:
        SourceError: it is unknown, or none in which a line ends with one byte.
    """
    name = form.options.get("encoding")
    if name is None:
        return None
    try:
        known = codecs.lookup(name).name
    except LookupError:
        raise SourceError(
            f"encoding = {name!r} is not known: correct it in the source's TOML (windows-1252, ISO-8859-1, …)"
        ) from None
    if known.startswith(("utf-16", "utf-32")):
        raise SourceError(
            f"encoding = {name!r}: its lines cannot be told apart by the byte: save the file as UTF-8 "
            f"(iconv -f {name} -t UTF-8) and remove encoding from the source's TOML"
        )
    return name


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
    encoding = require_encoding(form)
    return F.decode(F.col("value").cast("binary"), encoding) if encoding else F.col("value")


def is_text(form: FileForm) -> Column:
    """Whether every byte of `value` is one of the encoding."""
    if require_encoding(form):
        return ~F.contains(decoded(form), F.lit(_UNKNOWN_BYTE))
    return F.is_valid_utf8("value")
