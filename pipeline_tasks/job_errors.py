"""Ends a job that fails for an expected reason with one clear message as the last line of its log."""

import gc
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from pipeline_tasks.disk_space import OutOfSpaceError, full_folders, is_out_of_space, out_of_space_message
from pipeline_tasks.failure_messages import one_line_message, spark_and_duckdb_errors

EXPECTED = (ValueError, OSError, LookupError)
"""Exceptions that jobs raise when input, settings or an earlier step are at fault."""


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
