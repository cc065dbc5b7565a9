"""Ends a job that fails for an expected reason with one clear message as the last line of its log."""

import gc
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from pipeline_tasks.disk_space import OutOfSpaceError, full_folders, is_out_of_space, out_of_space_message
from pipeline_tasks.failure_messages import foreign_errors, in_one_line

EXPECTED = (ValueError, OSError, LookupError)
"""What jobs raise when input, settings or an earlier step are at fault."""


@contextmanager
def job_errors() -> Iterator[None]:
    """Print the stack trace of an expected failure, then its message in one line, and exit with status 1.

    What the job writes, its owner alone may read.
    """
    inherited = os.umask(0o077)
    try:
        yield
    except Exception as error:
        if (told := _told(error)) is None:
            raise
        _end(*told)
    finally:
        os.umask(inherited)
        # The interpreter's last collection walks all that was imported: 1.9 s after torch, transformers and MLflow
        # (3.6 s on a busy machine), 0.5 s without. The process ends here, nothing needs to be collected.
        # DuckDB's binding would list all that is not collected as leaked: 27 lines at the end of every log.
        if "duckdb" not in sys.modules:
            gc.freeze()


def _told(error: Exception) -> tuple[str, str] | None:
    """Return the kind and message of an expected failure, None for any other."""
    if isinstance(error, OutOfSpaceError):
        return type(error).__name__, str(error)
    # MLflow's server answers with its own errors where its disk is full.
    if is_out_of_space(error) or (not isinstance(error, EXPECTED) and full_folders()):
        return OutOfSpaceError.__name__, out_of_space_message()
    if isinstance(error, foreign_errors()):
        return type(error).__name__, in_one_line(error)
    return (type(error).__name__, str(error)) if isinstance(error, EXPECTED) else None


def _end(kind: str, message: str) -> NoReturn:
    traceback.print_exc()
    sys.stdout.flush()
    sys.exit(f"{kind}: {message}")
