"""Online Retail's invoices as anonymous visits: each is a basket, and its last line is what is asked for.

Cancellations, and lines without quantity or price, left out; each item once a visit. Lines of one time have no order:
they are drawn here, as cleaning puts them, and not in the order of the till, whose neighbors stand side by side.
"""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline_tasks.behavior.interactions import Interactions
from pipeline_tasks.behavior.item_catalog import catalog_of
from pipeline_tasks.behavior.night_data import NightData
from pipeline_tasks.contracts import CHOSEN_TYPES
from pipeline_tasks.night import Night


def read_online_retail_visits(shared_data: Path) -> NightData:
    """Return 19,960 visits of 26 lines each, the mean, as a night of a shop that knows nobody."""
    rows = pd.read_parquet(shared_data / "online-retail-uci" / "online_retail.parquet")
    titles = rows.dropna(subset=["Description"]).groupby("StockCode")["Description"].agg(lambda names: names.mode()[0])
    bought = (rows["Quantity"] > 0) & (rows["UnitPrice"] > 0) & ~rows["InvoiceNo"].astype(str).str.startswith("C")
    kept = rows[bought].drop_duplicates(["InvoiceNo", "StockCode"]).sample(frac=1, random_state=1)
    keys, visit = np.unique(kept["InvoiceNo"].to_numpy(dtype=str), return_inverse=True)
    kept = kept.assign(visit=visit).sort_values(["visit", "InvoiceDate"], kind="stable")
    ids, items = np.unique(kept["StockCode"].to_numpy(dtype=str), return_inverse=True)
    log = Interactions(
        [f"session:{key}" for key in keys],
        np.zeros(len(keys), dtype=bool),
        np.concatenate([[0], np.cumsum(np.bincount(kept["visit"]))]).astype(np.int64),
        items.astype(np.int64),
        np.full(len(kept), CHOSEN_TYPES.index("purchase"), dtype=np.int64),
        kept["InvoiceDate"].to_numpy().astype("datetime64[us]").astype(np.int64),
    )
    catalog = catalog_of([{"item_id": code, "title": titles.get(code)} for code in ids.tolist()], [])
    split = {"split_id": "visits", "strategy": "leave_one_out"}
    return NightData(Night("online_retail_visits", date(2011, 12, 9)), catalog, log, {}, split)
