"""Errors that a person can act on: one line with the cause and the remedy, whichever library failed."""

import errno
import gc
import os
import re
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import unquote

from pipeline_tasks.config.settings import settings

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
_ERROR_NUMBERS: Final = (errno.ENOSPC, errno.EDQUOT)
_MESSAGES: Final = re.compile(
    # SQLite could not write its journal or the database. It rolls the transaction back.
    "No space left on device|Disk quota exceeded|database or disk is full|disk I/O error"
    # The whole message of numpy when a write was cut off.
    r"|^\d+ requested and \d+ written"
)
_MIN_FREE_BYTES: Final = 1 << 20
"""A disk with fewer free bytes counts as full, because files are written in larger pieces."""
_REMEDY: Final = "Free some (the DAG apply_retention with Delete removes old data), then run this step again"
EXPECTED = (ValueError, OSError, LookupError)
"""Exceptions that jobs raise when input, settings or an earlier step are at fault."""


class TrainingError(ValueError):
    """Training cannot start or has failed. The message names the remedy."""


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


class OutOfSpaceError(OSError):
    """The disk, or the share of it that this user may fill, is full."""


@contextmanager
def out_of_space_errors(folder: str, unchanged: str) -> Iterator[None]:
    """Turn any error of a full disk into an OutOfSpaceError that names the folder and what is `unchanged`."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OutOfSpaceError) or not is_out_of_space(error):
            raise
        raise OutOfSpaceError(
            errno.ENOSPC, f"No space is left on the disk of {folder}: {unchanged}. {_REMEDY}"
        ) from error


def is_out_of_space(error: BaseException) -> bool:
    """Return whether the error, or one of its causes, comes from a full disk."""
    return any(
        (isinstance(one, OSError) and one.errno in _ERROR_NUMBERS) or _MESSAGES.search(str(one)) is not None
        for one in _with_causes(error)
    )


def full_folders() -> list[str]:
    """Return those of the home folder and the folder of temporary files that have no space left."""
    folders = [Path(tempfile.gettempdir())]
    # Invalid settings are reported as an error of their own.
    with suppress(ValueError):
        folders.append(settings().home)
    existing = {folder: next(one for one in (folder, *folder.parents) if one.exists()) for folder in folders}
    return [str(folder) for folder, place in existing.items() if shutil.disk_usage(place).free < _MIN_FREE_BYTES]


def out_of_space_message() -> str:
    """Return the error message with its remedy, for a step that does not know which of its files had no space."""
    full = full_folders()
    where = (
        f"the disk of {' and '.join(full)}"
        if full
        else (f"a disk ({settings().home}, or that of temporary files: SPARK_LOCAL_DIRS, else {tempfile.gettempdir()})")
    )
    return f"No space is left on {where}. Published tables are unchanged. {_REMEDY}"


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__ or one.__context__


@contextmanager
def job_errors() -> Iterator[None]:
    """Print the stack trace of an expected failure, then its message in one line, and exit with status 1.

    Only the owner may read the files that the job writes.
    """
    inherited = os.umask(0o077)
    try:
        yield
    except Exception as error:
        if (failure := _expected_failure(error)) is None:
            raise
        _exit(*failure)
    finally:
        os.umask(inherited)
        # The process ends here, so the last garbage collection is skipped. It takes 1.9 s after torch, transformers
        # and MLflow (3.6 s on a busy machine). Not with DuckDB, which lists uncollected objects as leaked in the log.
        if "duckdb" not in sys.modules:
            gc.freeze()


def _expected_failure(error: Exception) -> tuple[str, str] | None:
    """Return the kind and message of an expected failure, None for any other."""
    if isinstance(error, OutOfSpaceError):
        return type(error).__name__, str(error)
    # MLflow's server returns its own errors when its disk is full.
    if is_out_of_space(error) or (not isinstance(error, EXPECTED) and full_folders()):
        return OutOfSpaceError.__name__, out_of_space_message()
    if isinstance(error, spark_and_duckdb_errors()):
        return type(error).__name__, one_line_message(error)
    return (type(error).__name__, str(error)) if isinstance(error, EXPECTED) else None


def _exit(kind: str, message: str) -> NoReturn:
    traceback.print_exc()
    sys.stdout.flush()
    sys.exit(f"{kind}: {message}")
