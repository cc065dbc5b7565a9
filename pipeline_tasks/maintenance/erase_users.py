"""Erases users from everything that was made from the landed files; docs/guides/privacy.md lists what is removed."""

import re
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.source_lock import maintenance_lock
from pipeline_tasks.maintenance.erase_rows import USER_TABLES, erase_history, erase_rows
from pipeline_tasks.maintenance.stored_files import (
    MIN_ORPHAN_AGE,
    gate_pages,
    named_files,
    orphan_files,
    remove_files,
    staged_files,
)
from pipeline_tasks.maintenance.sync_postgres import erase_in_postgres
from pipeline_tasks.quality.gate_pages import write_index
from pipeline_tasks.registry.registry import champion_version, client
from pipeline_tasks.registry.retraining import LEARNED_FROM_ERASED
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.erased import ErasedUsers, read_erased_users, record_erased_users

_STAGED_USER_DATA: Final = ("vectors", "shelf-*", "clean.json", "split.json", "recommend.json")
"""Entries of a staging folder with users in them. The next run makes them anew. The manifests name deleted files."""


class ErasureReport(BaseModel):
    """What an erasure removed. It contains no user key."""

    users: int
    """Users of the source that are erased so far, those of earlier runs included."""
    rows: dict[str, int]
    """Removed rows of all days, by table."""
    snapshots: int
    """Expired snapshots: a rollback cannot go back beyond this erasure."""
    files: int
    """Files deleted below the lake's folder."""
    staged: list[str]
    postgres_rows: int

    def __str__(self) -> str:
        rows = ", ".join(f"{name} {count}" for name, count in self.rows.items() if count) or "none"
        return (
            f"{self.users} users are erased. Rows removed: {rows}; in Postgres {self.postgres_rows}. "
            f"{self.snapshots} snapshots expired, {self.files} files of the lake and {len(self.staged)} entries of "
            "staging and Data Docs deleted"
        )


def request_erasure(settings: Settings, source: str, keys: Sequence[str]) -> int:
    """Add users to the source's erased users, and return how many there are.

    Where one of them is new, the champion is marked, and the next nightly run retrains.

    Raises:
        ValueError: a key is empty.
    """
    erased = read_erased_users(settings, source)
    if not all(erased.is_erased(key.strip()) for key in keys):
        # The champion is marked first: an attempt that fails before the keys are stored marks it again.
        _mark_champion(settings, source)
    return len(record_erased_users(settings, source, keys).hashes)


def erase_users(settings: Settings, source: str) -> ErasureReport:
    """Erase all users that were requested for the source. A second run removes nothing more.

    Files of a job that failed within the last day, which no snapshot and no manifest names, stay until they are a day
    old. The next run of this function or of `apply_retention` deletes them.

    Raises:
        SourceBusyError: a job of the source runs.
        SinkError: Postgres could not be reached. Everything else is done, and the function can be called again.
    """
    with maintenance_lock(settings, source, "erase_users"):
        return _erase_users(settings, source)


def _erase_users(settings: Settings, source: str) -> ErasureReport:
    lake, erased = Lake.open(settings, source), read_erased_users(settings, source)
    staged_before = staged_files(settings)
    # Manifests are deleted first, so that the files they name are not published any more.
    staged = _erase_staging(settings, source, erased) if erased else []
    rows = erase_rows(lake, erased)
    snapshots, files = _erase_histories(lake, staged_before - staged_files(settings)) if erased else (0, 0)
    return ErasureReport(
        users=len(erased.hashes),
        rows=rows,
        snapshots=snapshots,
        files=files,
        staged=staged,
        postgres_rows=erase_in_postgres(settings, source, erased),
    )


def _mark_champion(settings: Settings, source: str) -> None:
    """Mark the champion as trained with a user who is erased. `retrain_reason` reads the mark."""
    today = datetime.now(UTC).date()
    champion = champion_version(settings, RunKey(source, today))
    if champion is not None:
        client(settings).set_model_version_tag(champion.name, champion.version, LEARNED_FROM_ERASED, today.isoformat())


def _erase_histories(lake: Lake, unstaged: set[str]) -> tuple[int, int]:
    """Expire all snapshots but the present ones, and delete their files and the files `unstaged`.

    Return the numbers of snapshots and files.
    """
    expired = deleted = 0
    for name in USER_TABLES:
        table = lake.present(name)
        if table is not None:
            released = named_files(table, table.snapshots()) | unstaged
            expired += erase_history(lake, name)
            table = table.refresh()
            files = orphan_files(table, table.snapshots(), datetime.now(UTC) - MIN_ORPHAN_AGE, released=released)
            remove_files(files)
            deleted += len(files)
    return expired, deleted


def _erase_staging(settings: Settings, source: str, erased: ErasedUsers) -> list[str]:
    """Delete staged user data of all days of the source, and the reports and pages that name an erased user.

    Return the deleted paths, relative to `home`. Candidates and models hold no user
    (models/two_tower/saved_recommender.py) and stay.
    """
    days = sorted(path for path in (settings.staging / source).glob("*-*-*") if path.is_dir())
    paths = [path for day in days for pattern in _STAGED_USER_DATA for path in day.glob(pattern)]
    paths += [path for path in _reports(settings, days) if _names_erased(erased, path.read_text())]
    for path in paths:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if paths:
        write_index(settings)
    return [str(path.relative_to(settings.home)) for path in paths]


def _names_erased(erased: ErasedUsers, text: str) -> bool:
    # In an HTML page the text is escaped, and a tag may directly follow a key.
    return erased.is_named_in(text) or erased.is_named_in(unescape(re.sub(r"<[^>]*>", " ", text)))


def _reports(settings: Settings, days: list[Path]) -> Iterator[Path]:
    for day in days:
        yield from day.glob("gate_*.json")
    for page in gate_pages(settings, days):
        if page.path.endswith((".json", ".html")):
            yield Path(page.path)
