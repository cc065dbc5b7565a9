"""One clear error where the disk is full, whoever writes: Python, numpy, Arrow, Spark, SQLite or MLflow's server."""

import errno
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pipeline_tasks.config.settings import settings

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_SIGNS: Final = re.compile(
    # SQLite could not write its journal or the database; a transaction that fails so is rolled back.
    "No space left on device|Disk quota exceeded|database or disk is full|disk I/O error"
    # numpy says no more of a write that was cut off.
    r"|^\d+ requested and \d+ written"
)
_LEAST_BYTES: Final = 1 << 20
"""With less a disk is full: files are written in larger pieces."""
_REMEDY: Final = "Free some (apply_retention with Delete removes what is old), then run this step again"


class OutOfSpaceError(OSError):
    """The disk, or the share of it that this user may fill, is full."""


@contextmanager
def out_of_space_named(folder: str, unchanged: str) -> Iterator[None]:
    """Raise OutOfSpaceError in place of what full disks raise, with the folder and what is `unchanged`."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OutOfSpaceError) or not is_out_of_space(error):
            raise
        raise OutOfSpaceError(
            errno.ENOSPC, f"No space is left on the disk of {folder}: {unchanged}. {_REMEDY}"
        ) from error


def is_out_of_space(error: BaseException) -> bool:
    """Whether the error, or one that led to it, is of a full disk."""
    return any(
        (isinstance(one, OSError) and one.errno in _FULL) or _SIGNS.search(str(one)) is not None
        for one in _with_causes(error)
    )


def full_folders() -> list[str]:
    """Return which folders that steps write to have no space left: the home, and that of temporary files."""
    folders = [Path(tempfile.gettempdir())]
    # Settings that do not fit are a failure of their own.
    with suppress(ValueError):
        folders.append(settings().home)
    existing = {folder: next(one for one in (folder, *folder.parents) if one.exists()) for folder in folders}
    return [str(folder) for folder, place in existing.items() if shutil.disk_usage(place).free < _LEAST_BYTES]


def out_of_space_message() -> str:
    """Return what happened and the remedy, for a step that cannot tell which of its files had no space."""
    full = full_folders()
    where = (
        f"the disk of {' and '.join(full)}"
        if full
        else (f"a disk ({settings().home}, or that of temporary files: SPARK_LOCAL_DIRS, else {tempfile.gettempdir()})")
    )
    return f"No space is left on {where}. What was published before is as it was. {_REMEDY}"


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__ or one.__context__
