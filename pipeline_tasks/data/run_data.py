"""The training data of one run, read from the lake: catalog, split histories, impressions and ratings."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from pipeline_tasks.data.interactions import Interactions, from_sequences
from pipeline_tasks.data.item_catalog import ItemCatalog, build_catalog
from pipeline_tasks.data.ratings import Ratings
from pipeline_tasks.data.split_parts import Parts, split_parts
from pipeline_tasks.data.task_labels import Impressions
from pipeline_tasks.lake.files import table_location
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema


@dataclass(frozen=True)
class RunData:
    """Catalog and histories of one run."""

    run_key: RunKey
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
        return read_impressions(self.lake, (self.split["window_start"], self.run_key.ds), self.log, self.catalog)

    @cached_property
    def ratings(self) -> Ratings:
        """The ratings of the window's users; read on first use, because few models need them."""
        if self.lake is None:
            return Ratings.none()
        return read_ratings(self.lake, (self.split["window_start"], self.run_key.ds), self.log, self.catalog)


def read_run_data(lake: Lake, run_key: RunKey) -> RunData:
    """Read `splits`, `sequences`, `items` and `users` of one run.

    Raises:
        ValueError: `sequences` has no rows for that day, or `splits` does not have exactly one.
    """
    state = lake.consistent_view()
    snapshots = {name: state.snapshot_id(name) for name in ("splits", "sequences", "items", "users")}
    day = (run_key.ds, run_key.ds)
    tables = {name: lake.read(name, day, snapshot_id=snapshots[name]) for name in snapshots}
    if not tables["sequences"].num_rows:
        raise ValueError(
            f"No sequences for {run_key.source} {run_key.ds} in the lake: split that day first "
            f"(nightshelf run --source {run_key.source} --date {run_key.ds})"
        )
    splits = tables["splits"].to_pylist()
    if len(splits) != 1:
        raise ValueError(
            f"{len(splits)} rows in splits for {run_key.source} {run_key.ds}, expected one: split that day again"
        )
    catalog = build_catalog(tables["items"], tables["sequences"])
    log = from_sequences(tables["sequences"], catalog.item_ids)
    users = tables["users"]
    log = log.described(dict(zip(users["user_key"].to_pylist(), users["attributes"].to_pylist(), strict=True)))
    kept = {name: snapshot for name, snapshot in snapshots.items() if snapshot is not None}
    return RunData(run_key, catalog, log, kept, splits[0], lake)


_COLUMNS: Final = ("user_key", "session_id", "item_id", "ts")


def read_impressions(lake: Lake, window: tuple[date, date], log: Interactions, catalog: ItemCatalog) -> Impressions:
    """Return the impressions of `window` for users (or anonymous sessions) with a history in `log`."""
    found = _read_events(lake, window, log, catalog, ds.field("event_type") == "impression")
    return Impressions(*(found[name].to_numpy().astype(np.int64) for name in ("row", "item", "time")))


def read_ratings(lake: Lake, window: tuple[date, date], log: Interactions, catalog: ItemCatalog) -> Ratings:
    """Return the ratings of `window` for users (or anonymous sessions) with a history in `log`.

    An event of any type counts when it has a rating.
    """
    found = _read_events(lake, window, log, catalog, ds.field("rating").is_valid(), ["rating"])
    rows, items, times = (found[name].to_numpy().astype(np.int64) for name in ("row", "item", "time"))
    return Ratings(rows, items, times, found["rating"].to_numpy().astype(np.float32))


def _read_events(
    lake: Lake,
    window: tuple[date, date],
    log: Interactions,
    catalog: ItemCatalog,
    wanted: ds.Expression,
    extra_columns: Sequence[str] = (),
) -> pa.Table:
    """Return one row for each event that matches `wanted`, with `extra_columns`.

    The columns are row (index into `log`), item (index into `catalog`) and time (epoch microseconds). Events of users
    and sessions outside `log`, or of items outside `catalog`, are left out. A column that older files lack is NULL.
    """
    files = lake.files("events", window)
    schema = arrow_schema(TABLES["events"])
    if not files:
        found = schema.empty_table()
    else:
        system, paths = table_location(files)
        data = ds.dataset(paths, schema=schema, filesystem=system, format="parquet")
        found = data.to_table([*_COLUMNS, *extra_columns], filter=wanted & ds.field("item_id").is_valid())
    anonymous = pc.binary_join_element_wise("session:", found["session_id"], "")
    keys = pc.coalesce(found["user_key"], anonymous)
    numbers = {
        "row": pc.index_in(keys, pa.array(log.keys, pa.string())),
        "item": pc.index_in(found["item_id"], pa.array(catalog.item_ids, pa.string())),
        "time": found["ts"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()),
    }
    events = pa.table(numbers | {name: found[name] for name in extra_columns})
    return events.filter(pc.field("row").is_valid() & pc.field("item").is_valid())
