"""Reads what users gave the items that they rated from the table `events`."""

from datetime import date

import numpy as np
import pyarrow.dataset as ds

from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.data.item_catalog import ItemCatalog
from pipeline_tasks.data.ratings import Ratings
from pipeline_tasks.data.read_events import read_events
from pipeline_tasks.lake.lake import Lake


def read_ratings(lake: Lake, window: tuple[date, date], log: Interactions, catalog: ItemCatalog) -> Ratings:
    """Read the ratings of `window` by users (or anonymous sessions) with a history in `log`, whatever the event."""
    found = read_events(lake, window, log, catalog, ds.field("rating").is_valid(), ["rating"])
    rows, items, times = (found[name].to_numpy().astype(np.int64) for name in ("row", "item", "time"))
    return Ratings(rows, items, times, found["rating"].to_numpy().astype(np.float32))
