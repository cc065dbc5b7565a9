"""Reads what users were shown from the table `events`."""

from datetime import date

import numpy as np
import pyarrow.dataset as ds

from pipeline_tasks.data.impressions import Impressions
from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.data.item_catalog import ItemCatalog
from pipeline_tasks.data.read_events import read_events
from pipeline_tasks.lake.lake import Lake


def read_impressions(lake: Lake, window: tuple[date, date], log: Interactions, catalog: ItemCatalog) -> Impressions:
    """Read the impressions of `window` by users (or anonymous sessions) with a history in `log`."""
    found = read_events(lake, window, log, catalog, ds.field("event_type") == "impression")
    return Impressions(*(found[name].to_numpy().astype(np.int64) for name in ("row", "item", "time")))
