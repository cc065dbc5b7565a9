"""Forgets users in all that was made of the landed files; docs/guides/privacy.md lists what goes and what stays."""

from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import BaseModel

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.source_lock import maintenance_lock
from pipeline_tasks.maintenance.erase_rows import OF_USERS, erase_history, erase_rows
from pipeline_tasks.maintenance.erase_staging import erase_staging
from pipeline_tasks.maintenance.orphan_files import YOUNG, named_files, orphan_files, staged_files
from pipeline_tasks.maintenance.stored_files import remove_files
from pipeline_tasks.maintenance.sync_postgres import erase_in_postgres
from pipeline_tasks.registry.registry import champion_version, client
from pipeline_tasks.registry.retraining import FORGETS
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.erased import read_erased_users, remember


class ErasureReport(BaseModel):
    """What went. Keys are in none of it."""

    users: int
    """Forgotten by the source so far, those of earlier runs included."""
    rows: dict[str, int]
    """By table, of all nights together."""
    snapshots: int
    """Expired: a way back ends at this moment."""
    files: int
    """Deleted below the lake's folder."""
    staged: list[str]
    postgres_rows: int

    def __str__(self) -> str:
        rows = ", ".join(f"{name} {count}" for name, count in self.rows.items() if count) or "none"
        return (
            f"{self.users} users are forgotten. Rows that went: {rows}; Postgres {self.postgres_rows}. "
            f"{self.snapshots} snapshots expired, {self.files} files of the lake and {len(self.staged)} entries of "
            "staging and Data Docs deleted"
        )


def request_erasure(settings: Settings, source: str, keys: Sequence[str]) -> int:
    """Remember users as forgotten, and let the next night retrain where there are new ones; return how many are.

    Raises:
        ValueError: a key is empty.
    """
    known = read_erased_users(settings, source)
    if not all(known.knows(key.strip()) for key in keys):
        # First: an attempt that ends here does it again, one that ends behind it has nothing new to find.
        _mark_champion(settings, source)
    return len(remember(settings, source, keys).hashes)


def erase_users(settings: Settings, source: str) -> ErasureReport:
    """Forget all whom the source remembers as forgotten. Run again, nothing is left.

    Files that no snapshot and no manifest ever named, of a job that failed within the last day, stay until they are a
    day old: then the next run of this, or of apply_retention, deletes them.

    Raises:
        SourceBusyError: a job of the source runs.
        SinkError: Postgres could not be reached; all else is done, and it can be run again.
    """
    with maintenance_lock(settings, source, "erase_users"):
        return _erase_users(settings, source)


def _erase_users(settings: Settings, source: str) -> ErasureReport:
    lake, forgotten = Lake.open(settings, source), read_erased_users(settings, source)
    waiting = staged_files(settings)
    # Manifests first: nothing that they name may be published any more.
    staged = erase_staging(settings, source, forgotten) if forgotten else []
    rows = erase_rows(lake, forgotten)
    snapshots, files = _forget_past(lake, waiting - staged_files(settings)) if forgotten else (0, 0)
    return ErasureReport(
        users=len(forgotten.hashes),
        rows=rows,
        snapshots=snapshots,
        files=files,
        staged=staged,
        postgres_rows=erase_in_postgres(settings, source, forgotten),
    )


def _mark_champion(settings: Settings, source: str) -> None:
    """Mark the champion as one that has learned from a user who is forgotten: `why_retrain` looks for it."""
    today = datetime.now(UTC).date()
    champion = champion_version(settings, RunKey(source, today))
    if champion is not None:
        client(settings).set_model_version_tag(champion.name, champion.version, FORGETS, today.isoformat())


def _forget_past(lake: Lake, unstaged: set[str]) -> tuple[int, int]:
    """Expire the snapshots before the present ones and delete what they named, and the files `unstaged`."""
    expired = deleted = 0
    for name in OF_USERS:
        table = lake.present(name)
        if table is not None:
            released = named_files(table, table.snapshots()) | unstaged
            expired += erase_history(lake, name)
            table = table.refresh()
            files = orphan_files(table, table.snapshots(), datetime.now(UTC) - YOUNG, released=released)
            remove_files(files)
            deleted += len(files)
    return expired, deleted
