"""A process that publishes run after run into four tables, until it kills itself at a chosen point of a commit."""

import multiprocessing
from datetime import date
from typing import Final

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from sqlalchemy.orm import Session

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake import atomic_commit
from pipeline_tasks.lake.catalog import as_properties
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.lake_sql import query
from pipeline_tasks.lake.staging import Manifest, StagedTable, publish
from pipeline_tasks.maintenance.stored_files import expire
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema
from tests.pipeline_tasks.kill_after import kill_after

DAY: Final = date(2026, 11, 20)
NAMES: Final = ("recommendations", "fallback_recommendations", "similar_items", "next_items")
SQL: Final = " UNION ".join(f"SELECT model_version FROM {name}" for name in NAMES)
"""Selects the run of the rows."""
_PUBLISHED: Final = 15
"""Number of runs committed without rows for each that is published with rows."""
_STEPS: Final = (
    (atomic_commit, "sync_files"),
    (SqlCatalog, "_write_metadata"),
    (Session, "execute"),
    (Session, "commit"),
)
"""Calls of a commit. The process may be killed after each of them."""


def publish_run(settings: Settings, run: int) -> None:
    """Publish the day of four tables, one row each, which all name the run."""
    lake, tables = Lake.open(settings, "shop"), {}
    for name in NAMES:
        rows = pa.Table.from_pylist([{"model_version": str(run), "ds": DAY}], schema=arrow_schema(TABLES[name]))
        tables[name] = StagedTable(days=[DAY], files=lake.write_arrow(name, rows), rows=1)
    publish(lake, Manifest(source="shop", ds=DAY, step="recommend", tables=tables, facts={"run": str(run)}))


def commit_run(settings: Settings, run: int) -> None:
    """Commit a snapshot of four tables that names the run and changes no row: a tenth of the time of a publication."""
    lake = Lake.open(settings, "shop")
    transactions = [lake.table(name).transaction() for name in NAMES]
    for transaction in transactions:
        with transaction.update_snapshot(snapshot_properties=as_properties({"run": str(run)})).fast_append():
            pass
    atomic_commit.commit_together(lake.catalog, transactions)


def runs_of(lake: Lake) -> set[str | None]:
    """Return the runs in the facts of the tables' current snapshots."""
    now = lake.consistent_view()
    return {now.facts(name).get("run") for name in NAMES}


def runs_queried(settings: Settings) -> set[str]:
    """Return the runs in the rows of the tables."""
    return {row[0] for row in query(settings, "shop", SQL)[1]}


def publish_until_killed(settings: Settings, first: int, last: int, dies_after: int) -> int:
    """Publish the runs from `first` to `last` in a child process and return its exit code.

    The process kills itself after step `dies_after`, if it gets there; the exit code is then -9.
    """
    process = multiprocessing.get_context("fork").Process(
        target=_publish_runs, args=(settings, first, last, dies_after)
    )
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _publish_runs(settings: Settings, first: int, last: int, dies_after: int) -> None:
    left = [dies_after]
    for owner, name in _STEPS:
        counting = kill_after(getattr(owner, name), left)
        setattr(owner, name, staticmethod(counting) if name == "_write_metadata" else counting)
    for run in range(first, last + 1):
        if run % _PUBLISHED:
            commit_run(settings, run)
        else:
            publish_run(settings, run)
            _expire_all(settings)


def _expire_all(settings: Settings) -> None:
    """Keep the tables' metadata small: it is read and written with every commit."""
    lake = Lake.open(settings, "shop")
    for name in NAMES:
        table = lake.table(name)
        expire(table, [one for one in table.snapshots() if one.snapshot_id != table.metadata.current_snapshot_id])
