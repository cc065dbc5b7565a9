"""Online Retail's invoices as anonymous visits: each is a basket, and its last line is what is asked for.

Cancellations, and lines without quantity or price, left out; each item once a visit. Lines of one time have no order:
they are drawn here, as cleaning puts them, and not in the order of the till, whose neighbors stand side by side.
"""

from datetime import date
from pathlib import Path

from pipeline_tasks.data.item_catalog import make_catalog
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.run_key import RunKey
from tests.benchmarks.online_retail import read_lines, titles_of
from tests.benchmarks.purchase_log import purchase_log


def read_online_retail_visits(shared_data: Path) -> RunData:
    """Return 19,960 visits of 26 lines each, the mean, as the data of a shop without user ids."""
    rows = read_lines(shared_data)
    bought = (rows["Quantity"] > 0) & (rows["UnitPrice"] > 0) & ~rows["InvoiceNo"].astype(str).str.startswith("C")
    kept = rows[bought].drop_duplicates(["InvoiceNo", "StockCode"]).sample(frac=1, random_state=1)
    log, ids, _ = purchase_log(kept, "InvoiceNo", "StockCode", "InvoiceDate", anonymous="session:")
    titles = titles_of(rows)
    catalog = make_catalog([{"item_id": code, "title": titles.get(code)} for code in ids], [])
    split = {"split_id": "visits", "strategy": "leave_one_out"}
    return RunData(RunKey("online_retail_visits", date(2011, 12, 9)), catalog, log, {}, split)
