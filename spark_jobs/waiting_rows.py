"""Books the landed records that are later than the night, and wait for the night of their own day."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

import pyarrow as pa

from pipeline_tasks.contracts import TABLES
from pipeline_tasks.night import Night
from pipeline_tasks.storage.lake import Lake
from pipeline_tasks.storage.staging import StagedTable
from pipeline_tasks.tables.schemas import arrow_schema
from spark_jobs.landed_records import LandedSource

WAITING: Final = "waiting"
"""Outcome of such a record."""
_NAME: Final = "reconciliation"


def book_waiting(
    tables: Mapping[str, StagedTable], landed: LandedSource, lake: Lake, night: Night
) -> dict[str, StagedTable]:
    """Return the staged reconciliation with the days that wait now, or wait no more; nothing where none changed.

    A day that was cleaned before, by a later night, does not wait.
    """
    ledger = landed.ledgers["events"]
    read = lake.read(_NAME, (night.ds + timedelta(days=1), date.max), ("ds", "outcome", "fingerprint")).to_pylist()
    cleaned = {row["ds"] for row in read if row["outcome"] == "event"}
    booked = {row["ds"]: row["fingerprint"] for row in read if row["outcome"] == WAITING}
    later = [day for day in ledger.days() if day > night.ds and day not in cleaned]
    marks = {day: f"{WAITING} {ledger.content(day)}" for day in later}
    # A day whose records left the files is among them: what is booked of it goes.
    changed = sorted(day for day in marks.keys() | booked.keys() if marks.get(day) != booked.get(day))
    if not changed:
        return {}
    rows = [
        {"outcome": outcome, "rule": "all", "rows": ledger.rows(day), "fingerprint": marks[day], "ds": day}
        for day in changed
        if day in marks
        for outcome in ("rows_in", WAITING)
    ]
    files = lake.write_arrow(_NAME, pa.Table.from_pylist(rows, schema=arrow_schema(TABLES[_NAME])))
    staged = tables.get(_NAME, StagedTable(days=[], files=[], rows=0))
    together = StagedTable(days=[*staged.days, *changed], files=[*staged.files, *files], rows=staged.rows + len(rows))
    return {_NAME: together}
