"""A lock per source: jobs of a nightly run share it; maintenance that deletes or replaces files holds it exclusively.

It is a file lock below `home` (on this machine or a shared file system). With a Postgres catalog it is also an advisory
lock of that server, which all machines see. The system releases both when their process ends, even by a kill.
"""

import fcntl
import hashlib
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pyiceberg.catalog.sql import SqlCatalog
from sqlalchemy import Engine, text

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.catalog import open_catalog

_PATIENCE: Final = 600.0
"""Longest wait of a job for maintenance, in seconds; maintenance takes minutes."""
_PAUSE: Final = 1.0


class SourceBusyError(ValueError):
    """Another process holds the lock of the source."""


@contextmanager
def job_lock(settings: Settings, source: str, job: str) -> Iterator[None]:
    """Share the source's lock with other jobs, to read its tables or write files for them.

    Waits for maintenance to end.

    Raises:
        SourceBusyError: maintenance has not ended after ten minutes.
    """
    with _held(settings, source, job, exclusive=False, patience=_PATIENCE):
        yield


@contextmanager
def maintenance_lock(settings: Settings, source: str, work: str) -> Iterator[None]:
    """Hold the source's lock exclusively: no job of it runs meanwhile, so no files are missing from manifests.

    Raises:
        SourceBusyError: a job or other maintenance runs.
    """
    with _held(settings, source, work, exclusive=True, patience=0.0):
        yield


@contextmanager
def landing_lock(settings: Settings, source: str) -> Iterator[None]:
    """Hold the source's landing lock exclusively, because two landings would write one ledger.

    Raises:
        SourceBusyError: another landing has not ended after ten minutes.
    """
    with _held(settings, f"{source}.landing", "land_behavior", exclusive=True, patience=_PATIENCE):
        yield


@contextmanager
def _held(settings: Settings, name: str, work: str, *, exclusive: bool, patience: float) -> Iterator[None]:
    engine = _postgres(settings)
    until, is_announced = time.monotonic() + patience, False
    while True:
        with ExitStack() as held:
            busy = _file_holders(held, settings.home / "locks", name, work, exclusive)
            if not busy and engine is not None:
                busy = _database_holders(held, engine, name, work, exclusive)
            if not busy:
                yield
                return
        if time.monotonic() >= until:
            raise SourceBusyError(
                f"{work} of {name.partition('.')[0]} cannot start: {' and '.join(busy)}. Wait until it has ended, or "
                "end it, then start this again"
            )
        if not is_announced:
            print(f"{work} waits, for {patience:.0f} s at most: {' and '.join(busy)}", flush=True)
            is_announced = True
        time.sleep(_PAUSE)


def _postgres(settings: Settings) -> Engine | None:
    """Return the engine of the catalog if it is in Postgres."""
    uri = settings.lake_catalog_uri.get_secret_value() if settings.lake_catalog_uri is not None else ""
    if not (uri or settings.lake_catalog_properties.get("uri", "")).startswith("postgresql"):
        return None
    catalog = open_catalog(settings)
    return catalog.engine if isinstance(catalog, SqlCatalog) else None


def _file_holders(held: ExitStack, folder: Path, name: str, work: str, exclusive: bool) -> list[str]:
    """Take the file lock until `held` is closed and return []. If it is taken, return what its holders are."""
    notes = folder / name
    notes.mkdir(parents=True, exist_ok=True)
    if not _lock(held, folder / f"{name}.lock", exclusive=exclusive):
        return _alive(notes) or ["another process holds its lock"]
    # The note describes the holder. It is locked itself as long as that process lives.
    note = notes / uuid.uuid4().hex
    since = datetime.now(UTC).isoformat(timespec="seconds")
    note.write_text(f"{work} is running since {since} (process {os.getpid()} on {socket.gethostname()})")
    _lock(held, note, exclusive=True)
    held.callback(note.unlink, missing_ok=True)
    return []


def _lock(held: ExitStack, path: Path, *, exclusive: bool) -> bool:
    file = held.enter_context(path.open("a"))
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _alive(notes: Path) -> list[str]:
    """Return the notes of living holders and remove those of dead ones."""
    found = []
    for note in sorted(notes.iterdir()):
        with ExitStack() as looked:
            if not note.exists():
                continue
            if _lock(looked, note, exclusive=False):
                note.unlink(missing_ok=True)
            else:
                found.append(note.read_text())
    return found


def _database_holders(held: ExitStack, engine: Engine, name: str, work: str, exclusive: bool) -> list[str]:
    """Take the advisory lock until `held` is closed and return []. If it is taken, return what its holders are."""
    key = int.from_bytes(hashlib.sha256(f"nightshelf {name}".encode()).digest()[:8], signed=True)
    connection = held.enter_context(engine.connect().execution_options(isolation_level="AUTOCOMMIT"))
    # Waiting processes read this label from the server. It keeps 63 bytes at most.
    label = f"{work} (process {os.getpid()} on {socket.gethostname()})"[:63]
    execute: Callable[..., Any] = connection.execute
    execute(text("SELECT set_config('application_name', :label, false)"), {"label": label})
    function = "pg_try_advisory_lock" if exclusive else "pg_try_advisory_lock_shared"
    if execute(text(f"SELECT {function}(:key)"), {"key": key}).scalar_one():
        # A pooled connection stays open after its return and would keep its locks.
        held.callback(connection.invalidate)
        return []
    rows = execute(
        text(
            "SELECT application_name, backend_start FROM pg_locks JOIN pg_stat_activity USING (pid) "
            "WHERE locktype = 'advisory' AND granted AND classid::bigint = :high AND objid::bigint = :low"
        ),
        {"high": (key >> 32) & 0xFFFFFFFF, "low": key & 0xFFFFFFFF},
    )
    return [f"{label} is running since {since:%Y-%m-%dT%H:%M:%S%z}" for label, since in rows] or ["another process"]
