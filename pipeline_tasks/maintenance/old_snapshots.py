"""Finds and expires snapshots of a table that are no longer needed."""

from collections.abc import Collection
from datetime import datetime

from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Snapshot, ancestors_of

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.registry.registry import champion_version
from pipeline_tasks.run_key import RunKey


def old_snapshots(table: IcebergTable, before: datetime, needed: Collection[int]) -> list[Snapshot]:
    """Return the snapshots that were committed before `before` and are not needed.

    These are kept: the ids `needed`, the present snapshot, those named by a branch or tag, and the last one before
    `before`. The last one is the state of the table at that time, and a rollback to a later time may need it.
    """
    before_ms = before.timestamp() * 1000
    line = list(ancestors_of(table.current_snapshot(), table.metadata))
    last = next((snapshot.snapshot_id for snapshot in line if snapshot.timestamp_ms < before_ms), None)
    kept = {last, table.metadata.current_snapshot_id, *needed, *(ref.snapshot_id for ref in table.refs().values())}
    return [one for one in table.snapshots() if one.timestamp_ms < before_ms and one.snapshot_id not in kept]


def needed_snapshots(settings: Settings, lake: Lake) -> set[int]:
    """Return the ids of the snapshots that the champion was trained on, and of the events of the newest split."""
    splits = lake.read("splits", columns=("ds", "split_id", "events_snapshot_id")).to_pylist()
    if not splits:
        return set()
    newest = max(splits, key=lambda split: split["ds"])
    needed = {newest["events_snapshot_id"]}
    champion = champion_version(settings, RunKey(lake.source, newest["ds"]))
    if champion is not None:
        needed |= {int(value) for name, value in champion.tags.items() if name.startswith("snapshot.")}
        needed |= {
            split["events_snapshot_id"] for split in splits if split["split_id"] == champion.tags.get("split_id")
        }
    return needed


def expire(table: IcebergTable, snapshots: Collection[Snapshot]) -> None:
    """Remove the snapshots from the table's metadata. Their files stay until `orphan_files` finds them."""
    if snapshots:
        table.maintenance.expire_snapshots().by_ids([snapshot.snapshot_id for snapshot in snapshots]).commit()
