"""Generated secrets, each in a file that only its owner may read."""

import os
import uuid
from collections.abc import Callable
from pathlib import Path

OWNER_ONLY = 0o077
"""The umask of all processes that write to the home: files 0600, folders 0700."""


def kept_secret(path: Path, make: Callable[[], str]) -> str:
    """Return the text of the file, which `make` supplies on first use; its mode is 0600.

    Processes that create it at the same time all return the text of the first.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.{uuid.uuid4().hex}.new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(make())
        try:
            path.hardlink_to(new)
        except FileExistsError:
            pass
        finally:
            new.unlink()
    if path.stat().st_mode & OWNER_ONLY:
        path.chmod(0o600)
    return path.read_text()


def make_private(home: Path) -> None:
    """Create the home folder, or remove the access of other users to it."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if home.stat().st_mode & OWNER_ONLY:
        home.chmod(0o700)
