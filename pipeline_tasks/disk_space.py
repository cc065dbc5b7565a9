"""Turns every error of a full disk into one clear error: of Python, numpy, Arrow, Spark, SQLite or MLflow's server."""

import errno
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pipeline_tasks.config.settings import settings

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
