"""Run data of a small shop, without a lake."""

from collections.abc import Sequence
from datetime import date

from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.data.item_catalog import make_catalog
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.run_key import RunKey


def leave_last_out_run(titles: Sequence[str], log: Interactions) -> RunData:
    """Return the data of a run with items i00, i01, … of these titles, split by the last events of each history."""
    catalog = make_catalog([{"item_id": f"i{n:02d}", "title": title} for n, title in enumerate(titles)], [])
    split = {"split_id": "s", "strategy": "leave_one_out"}
    return RunData(RunKey("shop", date(2026, 11, 20)), catalog, log, {}, split)
