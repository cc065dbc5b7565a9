"""Reads events of a window from the table `events`, in the numbers of a log: `sequences` holds what was chosen."""

from collections.abc import Sequence
from datetime import date
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.data.item_catalog import ItemCatalog
from pipeline_tasks.lake.file_location import table_location
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema

_READ: Final = ("user_key", "session_id", "item_id", "ts")


def read_events(
    lake: Lake,
    window: tuple[date, date],
    log: Interactions,
    catalog: ItemCatalog,
    wanted: ds.Expression,
    more: Sequence[str] = (),
) -> pa.Table:
    """Return row of `log`, item of `catalog`, time (epoch microseconds) and the columns `more` of the events `wanted`.

    Of users (or anonymous sessions) with a history in `log` alone. A column that older files lack is NULL there.
    """
    files = lake.files("events", window)
    schema = arrow_schema(TABLES["events"])
    if not files:
        found = schema.empty_table()
    else:
        system, paths = table_location(files)
        data = ds.dataset(paths, schema=schema, filesystem=system, format="parquet")
        found = data.to_table([*_READ, *more], filter=wanted & ds.field("item_id").is_valid())
    anonymous = pc.binary_join_element_wise("session:", found["session_id"], "")
    keys = pc.coalesce(found["user_key"], anonymous)
    numbers = {
        "row": pc.index_in(keys, pa.array(log.keys, pa.string())),
        "item": pc.index_in(found["item_id"], pa.array(catalog.item_ids, pa.string())),
        "time": found["ts"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()),
    }
    told = pa.table(numbers | {name: found[name] for name in more})
    return told.filter(pc.field("row").is_valid() & pc.field("item").is_valid())
