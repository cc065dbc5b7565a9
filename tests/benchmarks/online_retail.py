"""UCI's Online Retail: 392,692 purchases, two global cut-offs at 60 and 80 %, as the known baselines were measured.

Known customer, positive quantity, positive price, exact duplicates once; service codes kept.
"""

from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd

from pipeline_tasks.data.item_catalog import make_catalog
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.run_key import RunKey
from tests.benchmarks.purchase_log import purchase_log

TRAIN_END = datetime(2011, 9, 11, 15, 41, tzinfo=UTC)
VALIDATION_END = datetime(2011, 11, 1, 15, 55, tzinfo=UTC)


def read_online_retail(shared_data: Path) -> RunData:
    """Return the log as the data of a run of `online_retail`."""
    rows = read_lines(shared_data)
    kept = rows[rows["CustomerID"].notna() & (rows["Quantity"] > 0) & (rows["UnitPrice"] > 0)].drop_duplicates()
    kept = kept.assign(user=kept["CustomerID"].astype(int).astype(str))
    log, ids, kept = purchase_log(kept, "user", "StockCode", "InvoiceDate")
    # As of the start of test: for 14 % of the items, a later price would reveal that they were still sold.
    before = kept[kept["InvoiceDate"] < VALIDATION_END.replace(tzinfo=None)].sort_values("InvoiceDate", kind="stable")
    prices, titles = before.groupby("StockCode")["UnitPrice"].last().to_dict(), titles_of(rows)
    catalog = make_catalog(
        [{"item_id": code, "title": titles.get(code), "price": prices.get(code)} for code in ids], []
    )
    split = {"split_id": "uci", "strategy": "temporal", "train_end": TRAIN_END, "validation_end": VALIDATION_END}
    return RunData(RunKey("online_retail", date(2011, 12, 9)), catalog, log, {}, split)


def read_lines(shared_data: Path) -> pd.DataFrame:
    """Return all lines of the file."""
    return pd.read_parquet(shared_data / "online-retail-uci" / "online_retail.parquet")


def titles_of(rows: pd.DataFrame) -> dict[str, str]:
    """Return each item's most frequent description."""
    named = rows.dropna(subset=["Description"]).groupby("StockCode")["Description"]
    return {str(code): str(title) for code, title in named.agg(lambda names: names.mode()[0]).items()}
