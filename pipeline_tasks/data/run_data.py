"""The training data of one run: catalog, split histories, and the snapshots that they come from."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline_tasks.data.interactions import Interactions, from_sequences
from pipeline_tasks.data.item_catalog import ItemCatalog, build_catalog
from pipeline_tasks.data.ratings import Ratings
from pipeline_tasks.data.read_events import read_impressions, read_ratings
from pipeline_tasks.data.split_parts import Parts, split_parts
from pipeline_tasks.data.task_labels import Impressions
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.run_key import RunKey


@dataclass(frozen=True)
class RunData:
    """Catalog and histories of one run."""

    night: RunKey
    catalog: ItemCatalog
    log: Interactions
    snapshots: dict[str, int]
    """Table -> Iceberg snapshot that was read."""
    split: dict[str, Any]
    """The run's row of the table `splits`."""
    lake: Lake | None = None

    @property
    def parts(self) -> Parts:
        """The log, split into train, validation and test."""
        return split_parts(self.log, self.split)

    @cached_property
    def impressions(self) -> Impressions:
        """The impressions of the window's users; read on first use, because few models need them."""
        if self.lake is None:
            return Impressions.none()
        return read_impressions(self.lake, (self.split["window_start"], self.night.ds), self.log, self.catalog)

    @cached_property
    def ratings(self) -> Ratings:
        """The ratings of the window's users; read on first use, because few models need them."""
        if self.lake is None:
            return Ratings.none()
        return read_ratings(self.lake, (self.split["window_start"], self.night.ds), self.log, self.catalog)


def read_run_data(lake: Lake, night: RunKey) -> RunData:
    """Read `splits`, `sequences`, `items` and `users` of one run.

    Raises:
        ValueError: `sequences` has no rows for that day, or `splits` does not have exactly one.
    """
    state = lake.consistent_view()
    snapshots = {name: state.snapshot_id(name) for name in ("splits", "sequences", "items", "users")}
    day = (night.ds, night.ds)
    tables = {name: lake.read(name, day, snapshot_id=snapshots[name]) for name in snapshots}
    if not tables["sequences"].num_rows:
        raise ValueError(
            f"No sequences for {night.source} {night.ds} in the lake: split that day first "
            f"(nightshelf run --source {night.source} --date {night.ds})"
        )
    splits = tables["splits"].to_pylist()
    if len(splits) != 1:
        raise ValueError(
            f"{len(splits)} rows in splits for {night.source} {night.ds}, expected one: split that day again"
        )
    catalog = build_catalog(tables["items"], tables["sequences"])
    log = from_sequences(tables["sequences"], catalog.item_ids)
    users = tables["users"]
    log = log.described(dict(zip(users["user_key"].to_pylist(), users["attributes"].to_pylist(), strict=True)))
    kept = {name: snapshot for name, snapshot in snapshots.items() if snapshot is not None}
    return RunData(night, catalog, log, kept, splits[0], lake)
