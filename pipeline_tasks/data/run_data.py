"""The training data of one run: catalog, histories, their split 6:2:2, and the snapshots that they come from."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

import numpy as np

from pipeline_tasks.data.interactions import DataExtent, Integers, Interactions, from_sequences
from pipeline_tasks.data.item_catalog import ItemCatalog, build_catalog
from pipeline_tasks.data.ratings import Ratings
from pipeline_tasks.data.task_labels import Impressions, read_impressions, read_ratings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.times import SECOND

Part = Literal["validation", "test"]


class FutureLeakError(ValueError):
    """A scorer was fitted on events of the part that it is to predict, or on later ones."""


@dataclass(frozen=True)
class Parts:
    """A split of `log`. Sequence i is train before train_stops[i], validation before validation_stops[i], then test."""

    log: Interactions
    train_stops: Integers
    validation_stops: Integers

    def known_before(self, part: Part) -> Interactions:
        """Return the events that may be known when `part` is predicted: train, and validation for test."""
        return self.log.before(self.train_stops if part == "validation" else self.validation_stops)

    def future(self, part: Part) -> Interactions:
        """Return the events of `part` itself, which are to be predicted."""
        if part == "validation":
            return self.log.between(self.train_stops, self.validation_stops)
        return self.log.between(self.validation_stops, self.log.lengths)


def split_parts(log: Interactions, split: dict[str, Any]) -> Parts:
    """Split `log` by a row of the table `splits`.

    temporal: at two global timestamps. leave_one_out: in sequences of three or more events the last event is test and
    the one before it validation. per_user: at 60 % and 80 % of each sequence.

    Raises:
        ValueError: the strategy is unknown.
    """
    lengths = log.lengths
    strategy = split["strategy"]
    if strategy == "temporal":
        return Parts(log, _stops(log, split["train_end"]), _stops(log, split["validation_end"]))
    if strategy == "leave_one_out":
        held = np.where(lengths >= 3, 1, 0)
        return Parts(log, lengths - 2 * held, lengths - held)
    if strategy == "per_user":
        return Parts(log, (lengths * 6) // 10, (lengths * 8) // 10)
    raise ValueError(f"split strategy {strategy!r} is unknown: use temporal, leave_one_out or per_user")


def microseconds(time: datetime) -> int:
    """Return the exact epoch microseconds of an aware datetime."""
    return round(time.timestamp() * SECOND)


def refuse_future(name: str, seen: DataExtent, allowed: Interactions) -> None:
    """Raise if the scorer `name` was fitted on more than `allowed`.

    Raises:
        FutureLeakError: `seen` holds a later timestamp, or more events, than `allowed`.
    """
    limit = allowed.evidence
    if seen.last_timestamp > limit.last_timestamp or seen.events > limit.events:
        raise FutureLeakError(
            f"{name} was fitted on {seen.events} events up to {seen.last_timestamp} µs, but only {limit.events} events "
            f"up to {limit.last_timestamp} µs may be known before the part it is judged on: fit it on those"
        )


def _stops(log: Interactions, cutoff: datetime) -> Integers:
    inside = log.times <= microseconds(cutoff)
    return np.bincount(log.rows[inside], minlength=len(log)).astype(np.int64)


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
