"""When which night's shelves were published: read from the snapshots of the gold tables, which nobody ever changes.

The tables of a step are committed one after another with the same facts; such a run of commits is one publication. What
a table was at a publication is its newest snapshot that is not younger.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from pyiceberg.table.snapshots import Snapshot, ancestors_of

from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.snapshot_facts import facts_of
from pipeline_tasks.maintenance.table_files import data_files, day_of, touched_days
from pipeline_tasks.tables.contracts import TABLES

GOLD: Final = tuple(name for name, table in TABLES.items() if table.layer == "gold")
RESTORED: Final = "restored_from"
"""Fact of a snapshot that rolling back made: the moment (epoch milliseconds) that it went back to."""
FORGOT: Final = "forgotten_history"
"""Fact of the snapshot with which a table begins anew, where a user was forgotten in all of its past."""


@dataclass(frozen=True)
class Publication:
    """One night's gold tables, committed."""

    night: date
    until_ms: int
    """When the last of its tables was committed, epoch milliseconds."""
    restored_ms: int | None = None
    """Where it is no new making but a way back: the `until_ms` it went back to."""


@dataclass(frozen=True)
class _Commit:
    until_ms: int
    days: frozenset[date]
    facts: tuple[tuple[str, str], ...]

    @property
    def kind(self) -> object:
        """Equal for the commits that belong together."""
        if FORGOT in dict(self.facts):
            return FORGOT
        return self.facts if self.restored_ms is not None else (self.days, self.facts)

    @property
    def restored_ms(self) -> int | None:
        told = dict(self.facts).get(RESTORED)
        return int(told) if told else None


def publications(lake: Lake) -> list[Publication]:
    """Return all publications that the snapshots still tell of, oldest first."""
    found: list[Publication] = []
    before: object = None
    for commit in sorted(_commits(lake), key=lambda one: one.until_ms):
        same = commit.kind
        if same == before:
            found.pop()
        found.append(Publication(max(commit.days), commit.until_ms, commit.restored_ms))
        before = same
    return found


def lineage(lake: Lake, name: str) -> list[Snapshot]:
    """Return the current snapshot of a table and those it follows from, newest first; none for no table."""
    table = lake.present(name)
    return list(ancestors_of(table.current_snapshot(), table.metadata)) if table is not None else []


def _commits(lake: Lake) -> Iterator[_Commit]:
    for name in GOLD:
        table = lake.present(name)
        for snapshot in ancestors_of(table.current_snapshot(), table.metadata) if table is not None else ():
            facts = facts_of(snapshot)
            days = touched_days(table, snapshot)
            if FORGOT in facts:
                # It touches nothing, and is what the table was from then on.
                days = set(map(day_of, data_files(table, snapshot).values()))
            if days:
                yield _Commit(snapshot.timestamp_ms, frozenset(days), tuple(sorted(facts.items())))
