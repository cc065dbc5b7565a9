"""UCI's Online Retail: 392,692 purchases, two global cut-offs at 60 and 80 %, as the known baselines were measured.

Known customer, positive quantity, positive price, exact duplicates once; service codes kept.
"""

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline_tasks.behavior.interactions import Interactions
from pipeline_tasks.behavior.item_catalog import catalog_of
from pipeline_tasks.behavior.night_data import NightData
from pipeline_tasks.contracts import CHOSEN_TYPES
from pipeline_tasks.night import Night

TRAIN_END = datetime(2011, 9, 11, 15, 41, tzinfo=UTC)
VALIDATION_END = datetime(2011, 11, 1, 15, 55, tzinfo=UTC)


def read_online_retail(shared_data: Path) -> NightData:
    """Return the log as a night of the source `online_retail`."""
    rows = pd.read_parquet(shared_data / "online-retail-uci" / "online_retail.parquet")
    titles = rows.dropna(subset=["Description"]).groupby("StockCode")["Description"].agg(lambda names: names.mode()[0])
    kept = rows[rows["CustomerID"].notna() & (rows["Quantity"] > 0) & (rows["UnitPrice"] > 0)].drop_duplicates()
    keys, shopper = np.unique(kept["CustomerID"].astype(int).astype(str).to_numpy(), return_inverse=True)
    kept = kept.assign(shopper=shopper).sort_values(["shopper", "InvoiceDate"], kind="stable")
    ids, items = np.unique(kept["StockCode"].to_numpy(dtype=str), return_inverse=True)
    log = Interactions(
        keys.tolist(),
        np.ones(len(keys), dtype=bool),
        np.concatenate([[0], np.cumsum(np.bincount(kept["shopper"]))]).astype(np.int64),
        items.astype(np.int64),
        np.full(len(kept), CHOSEN_TYPES.index("purchase"), dtype=np.int64),
        kept["InvoiceDate"].to_numpy().astype("datetime64[us]").astype(np.int64),
    )
    # As of the moment when test begins: a later price would say what still sold then, of 14 % of the items otherwise.
    before = kept[kept["InvoiceDate"] < VALIDATION_END.replace(tzinfo=None)].sort_values("InvoiceDate", kind="stable")
    prices = before.groupby("StockCode")["UnitPrice"].last().to_dict()
    described = [{"item_id": code, "title": titles.get(code), "price": prices.get(code)} for code in ids.tolist()]
    catalog = catalog_of(described, [])
    split = {"split_id": "uci", "strategy": "temporal", "train_end": TRAIN_END, "validation_end": VALIDATION_END}
    return NightData(Night("online_retail", date(2011, 12, 9)), catalog, log, {}, split)
