"""The evaluation protocol for new items: their events before the test part are withheld from training."""

from dataclasses import replace

import numpy as np

from pipeline_tasks.data.interactions import Integers
from pipeline_tasks.data.run_data import RunData

SHARE = 0.05


def withhold_items(data: RunData, seed: int, share: float = SHARE) -> tuple[RunData, Integers]:
    """Return the data without events of the withheld items before the test part, and those items' indices.

    The items stay in the catalog and in the test part. `cold_recall@10` of the discovery task is then the recall of
    these items in the whole catalog. Under leave_one_out a history with fewer than three events left is emptied,
    because its test event would count as train.
    """
    rng = np.random.default_rng(seed)
    items = np.sort(rng.choice(len(data.catalog), max(1, round(share * len(data.catalog))), replace=False))
    log, parts = data.log, data.parts
    position = np.arange(len(log.items), dtype=np.int64) - log.offsets[log.rows]
    keep = ~np.isin(log.items, items) | (position >= parts.validation_stops[log.rows])
    if data.split["strategy"] == "leave_one_out":
        left = np.bincount(log.rows[keep], minlength=len(log))
        keep &= (left >= 3)[log.rows]
    return replace(data, log=log.only(keep)), items
