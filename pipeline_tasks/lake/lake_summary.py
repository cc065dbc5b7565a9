"""A summary of every table in the lake."""

from dataclasses import dataclass
from datetime import date

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake, open_catalog
from pipeline_tasks.lake.lake_sql import source_names
from pipeline_tasks.tables.contracts import TABLES


@dataclass(frozen=True)
class TableSummary:
    """Size of one table of one source."""

    source: str
    table: str
    rows: int
    days: int
    first: date | None
    last: date | None
    mebibytes: float
    snapshot_id: int


def summarize_lake(settings: Settings) -> list[TableSummary]:
    """Return a summary of every table that has a snapshot. Counts come from the snapshots, without reading data."""
    catalog = open_catalog(settings)
    lakes = [Lake(catalog, source).consistent_view() for source in source_names(settings)]
    found = [_summarize(lake, name) for lake in lakes for name in TABLES]
    return [summary for summary in found if summary is not None]


def _summarize(lake: Lake, name: str) -> TableSummary | None:
    table = lake.present(name)
    snapshot = table.current_snapshot() if table else None
    if snapshot is None:
        return None
    totals = snapshot.summary.additional_properties if snapshot.summary else {}
    days = lake.days(name)
    return TableSummary(
        source=lake.source,
        table=name,
        rows=int(totals.get("total-records", 0)),
        days=len(days),
        first=days[0] if days else None,
        last=days[-1] if days else None,
        mebibytes=int(totals.get("total-files-size", 0)) / 2**20,
        snapshot_id=snapshot.snapshot_id,
    )
