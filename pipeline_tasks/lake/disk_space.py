"""One clear error where the disk is full, whoever writes: Python, Arrow or SQLite."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import OperationalError

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class OutOfSpaceError(OSError):
    """The disk, or the share of it that this user may fill, is full."""


@contextmanager
def out_of_space_named(folder: str, unchanged: str) -> Iterator[None]:
    """Raise OutOfSpaceError in place of what full disks raise, with the folder and what is `unchanged`."""
    try:
        yield
    except (OSError, OperationalError) as error:
        if isinstance(error, OutOfSpaceError) or not _is_full(error):
            raise
        raise OutOfSpaceError(
            errno.ENOSPC,
            f"No space is left on the disk of {folder}: {unchanged}. Free some (apply_retention with Delete removes "
            "what is old), then run this step again",
        ) from error


def _is_full(error: OSError | OperationalError) -> bool:
    if isinstance(error, OSError):
        return error.errno in _FULL or "No space left on device" in str(error)
    # SQLite could not write its journal or the database; a transaction that fails so is rolled back.
    return "database or disk is full" in str(error) or "disk I/O error" in str(error)
