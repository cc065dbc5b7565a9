"""Reads what shoppers were shown from the table `events`: `sequences` holds what they chose."""

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow import fs

from pipeline_tasks.behavior.impressions import Impressions
from pipeline_tasks.behavior.interactions import Interactions
from pipeline_tasks.behavior.item_catalog import ItemCatalog
from pipeline_tasks.storage.lake import Lake

_COLUMNS = ["user_key", "session_id", "item_id", "ts"]


def read_impressions(lake: Lake, window: tuple[date, date], log: Interactions, catalog: ItemCatalog) -> Impressions:
    """Read the impressions of `window` by shoppers (or anonymous sessions) with a history in `log`."""
    files = lake.files("events", window)
    if not files:
        return Impressions.none()
    system, first = fs.FileSystem.from_uri(files[0]) if "://" in files[0] else (fs.LocalFileSystem(), files[0])
    inner = [file.removeprefix(files[0].removesuffix(first)) for file in files]
    shown = ds.dataset(inner, filesystem=system, format="parquet").to_table(
        _COLUMNS, filter=(ds.field("event_type") == "impression") & ds.field("item_id").is_valid()
    )
    anonymous = pc.binary_join_element_wise("session:", shown["session_id"], "")
    keys = pc.coalesce(shown["user_key"], anonymous)
    found = pa.table(
        {
            "row": pc.index_in(keys, pa.array(log.keys, pa.string())),
            "item": pc.index_in(shown["item_id"], pa.array(catalog.item_ids, pa.string())),
            "time": shown["ts"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()),
        }
    ).filter(pc.field("row").is_valid() & pc.field("item").is_valid())
    return Impressions(*(found[name].to_numpy().astype(np.int64) for name in ("row", "item", "time")))
