"""Labels that task heads learn from, besides the histories: items shown, and items liked or not.

`sequences` holds only what users chose; these events are read apart and refer to the sequences of a log.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from pipeline_tasks.data.interactions import Integers, Interactions
from pipeline_tasks.data.item_catalog import ItemCatalog
from pipeline_tasks.data.ratings import BinaryLabels, Ratings
from pipeline_tasks.lake.files import table_location
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema

_COLUMNS: Final = ("user_key", "session_id", "item_id", "ts")


@dataclass(frozen=True)
class Impressions:
    """n items shown to users. Histories do not hold them, because users did not choose them."""

    rows: Integers
    """(n,) index of the sequence in a log."""
    items: Integers
    """(n,) index into the catalog."""
    times: Integers
    """(n,) epoch microseconds."""

    @classmethod
    def none(cls) -> "Impressions":
        """Return an empty set of impressions."""
        return cls(*(np.zeros(0, np.int64) for _ in range(3)))

    def until(self, timestamp: int) -> "Impressions":
        """Return the impressions at or before `timestamp`."""
        kept = self.times <= timestamp
        return Impressions(self.rows[kept], self.items[kept], self.times[kept])


@dataclass(frozen=True)
class TaskLabels:
    """Labels up to the present; an evaluation also reads later ones. A part is None where no head needs it."""

    impressions: Impressions | None = None
    opinions: BinaryLabels | None = None

    @property
    def arrays(self) -> list[npt.NDArray[Any]]:
        """All arrays, to compare two sets of labels."""
        return [
            array for part in (self.impressions, self.opinions) if part is not None for array in vars(part).values()
        ]


NO_TASK_LABELS = TaskLabels()


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
