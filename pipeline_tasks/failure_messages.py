"""Puts failures of Spark, DuckDB and damaged files into one line that names the file and what to do."""

import re
import sys
from datetime import date
from typing import Final
from urllib.parse import unquote

_DAY: Final = r"(?P<day>\d{4}-\d{2}-\d{2})"
_LANDED: Final = re.compile(rf"/(?P<source>[^/]+)/(?:events|items|users)/ds=[\d-]+/arrived={_DAY}/")
_TABLE: Final = re.compile(rf"/(?P<source>[^/]+)/(?P<table>[^/]+)/data/[^/]+/(?:_ds=)?{_DAY}")
CLEANED_BY_DAY: Final = ("events", "quarantine", "reconciliation")
"""Tables whose days are made from what was landed for them alone."""
_DAMAGED: Final = re.compile(
    "FAILED_READ_FILE|EOFException|is not a Parquet file|No magic bytes found|Parquet magic bytes"
)
_NAMED: Final = re.compile(r"(?:file:/*(?=/)|(?<=['\"\s]))(/[^\s'\"]+\.parquet)")
_CLASS: Final = re.compile(r"^(?:[\w$]+\.)+([\w$]+)(?=[:\s]|$)")
"""A Java class with its packages."""


class DamagedFileError(ValueError):
    """A Parquet file of Nightshelf's own is damaged or gone."""


def damaged_file(path: str, cause: str, remedy: str | None = None) -> DamagedFileError:
    """Return the error that names the file, why it cannot be read, and the `remedy`, by default what its path says."""
    return DamagedFileError(f"{path} cannot be read ({cause.strip().rstrip('.')}). {remedy or _remedy(path)}")


def rows_made_again(source: str, table: str, day: date | str) -> str:
    """Return what to do where a file of a table is damaged that holds rows of the day."""
    again = f"nightshelf run --source {source} --date {day}"
    if table in CLEANED_BY_DAY:
        return f"Move it away, then {again}: that day is cleaned again from what was landed"
    return f"Make that night again: {again}"


def day_of_file(path: str) -> date:
    """Return the day whose rows a file of a table holds, by its name."""
    table = _TABLE.search(path)
    if table is None:
        raise ValueError(f"{path} is no file of a table: its name says no day")
    return date.fromisoformat(table["day"])


def foreign_errors() -> tuple[type[Exception], ...]:
    """Return the errors of Spark and DuckDB, as far as they are imported: they are no errors of Python's own kinds."""
    names = (("pyspark.errors", "PySparkException"), ("py4j.protocol", "Py4JError"), ("duckdb", "Error"))
    return tuple(getattr(sys.modules[module], name) for module, name in names if module in sys.modules)


def in_one_line(error: Exception) -> str:
    """Return the cause of an error of Spark or DuckDB; of a damaged file, its name and what to do."""
    text = str(error)
    named = _NAMED.search(text)
    if named and _DAMAGED.search(text):
        return str(damaged_file(unquote(named.group(1)), _root_cause(text)))
    return f"{_root_cause(text)} (the trace above says where)"


def _root_cause(text: str) -> str:
    """Return the innermost cause that a trace of Java or Python names, else the message's first line."""
    causes = re.findall(r"Caused by: ([^\n]+)", text) or re.findall(r"^(\w+(?:Error|Exception): [^\n]+)", text, re.M)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # What the gateway says of itself comes first: `An error occurred while calling o42.collect.`
    told = [line.removeprefix(": ") for line in lines if not line.startswith("An error occurred while calling")]
    return _CLASS.sub(r"\1", causes[-1] if causes else next(iter(told), "no message")).strip()


def _remedy(path: str) -> str:
    if landed := _LANDED.search(path):
        source, day = landed["source"], landed["day"]
        return (
            f"Land that day again: deliver the files of {day} again (or touch them), then "
            f"nightshelf run --source {source} --date {day}"
        )
    if table := _TABLE.search(path):
        return rows_made_again(table["source"], table["table"], table["day"])
    return "Deliver it again, or run the step that made it again"
