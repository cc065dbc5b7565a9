"""Turns failures of Spark, DuckDB and damaged files into one line that names the file and the remedy."""

import re
import sys
from datetime import date
from typing import Final
from urllib.parse import unquote

_DAY: Final = r"(?P<day>\d{4}-\d{2}-\d{2})"
_LANDED: Final = re.compile(rf"/(?P<source>[^/]+)/(?:events|items|users)/ds=[\d-]+/arrived={_DAY}/")
_TABLE: Final = re.compile(rf"/(?P<source>[^/]+)/(?P<table>[^/]+)/data/[^/]+/(?:_ds=)?{_DAY}")
CLEANED_BY_DAY: Final = ("events", "quarantine", "reconciliation")
"""Tables in which each day is made from the files landed for that day alone."""
_DAMAGED: Final = re.compile(
    "FAILED_READ_FILE|EOFException|is not a Parquet file|No magic bytes found|Parquet magic bytes"
)
_PARQUET_PATH: Final = re.compile(r"(?:file:/*(?=/)|(?<=['\"\s]))(/[^\s'\"]+\.parquet)")
_CLASS: Final = re.compile(r"^(?:[\w$]+\.)+([\w$]+)(?=[:\s]|$)")
"""A Java class name with its packages."""


class DamagedFileError(ValueError):
    """A Parquet file of Nightshelf's own is damaged or gone."""


def damaged_file_error(path: str, cause: str, remedy: str | None = None) -> DamagedFileError:
    """Return the error that names the file, the cause and the `remedy`, which is derived from the path by default."""
    return DamagedFileError(f"{path} cannot be read ({cause.strip().rstrip('.')}). {remedy or _remedy(path)}")


def rebuild_remedy(source: str, table: str, day: date | str) -> str:
    """Return the remedy for a damaged table file that holds rows of the day."""
    again = f"nightshelf run --source {source} --date {day}"
    if table in CLEANED_BY_DAY:
        return f"Move it away, then {again}: that day is cleaned again from what was landed"
    return f"Run that day again: {again}"


def day_of_file(path: str) -> date:
    """Return the day in the path of a table file. Raises ValueError for any other path."""
    table = _TABLE.search(path)
    if table is None:
        raise ValueError(f"{path} is not a file of a table: its path contains no day")
    return date.fromisoformat(table["day"])


def spark_and_duckdb_errors() -> tuple[type[Exception], ...]:
    """Return the exception classes of those of Spark, py4j and DuckDB that are imported."""
    names = (("pyspark.errors", "PySparkException"), ("py4j.protocol", "Py4JError"), ("duckdb", "Error"))
    return tuple(getattr(sys.modules[module], name) for module, name in names if module in sys.modules)


def one_line_message(error: Exception) -> str:
    """Return the root cause of an error of Spark or DuckDB. For a damaged file, return its name and the remedy."""
    text = str(error)
    named = _PARQUET_PATH.search(text)
    if named and _DAMAGED.search(text):
        return str(damaged_file_error(unquote(named.group(1)), _root_cause(text)))
    return f"{_root_cause(text)} (the trace above says where)"


def _root_cause(text: str) -> str:
    """Return the innermost cause in a trace of Java or Python, else the first line of the message."""
    causes = re.findall(r"Caused by: ([^\n]+)", text) or re.findall(r"^(\w+(?:Error|Exception): [^\n]+)", text, re.M)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # The first line of py4j names no cause: `An error occurred while calling o42.collect.`
    messages = [line.removeprefix(": ") for line in lines if not line.startswith("An error occurred while calling")]
    return _CLASS.sub(r"\1", causes[-1] if causes else next(iter(messages), "no message")).strip()


def _remedy(path: str) -> str:
    if landed := _LANDED.search(path):
        source, day = landed["source"], landed["day"]
        return (
            f"Land that day again: deliver the files of {day} again (or touch them), then "
            f"nightshelf run --source {source} --date {day}"
        )
    if table := _TABLE.search(path):
        return rebuild_remedy(table["source"], table["table"], table["day"])
    return "Deliver it again, or run the step that made it again"
