"""A table of order lines as a log: histories of purchases, each in time order."""

import numpy as np
import pandas as pd

from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.tables.contracts import CHOSEN_TYPES


def purchase_log(
    lines: pd.DataFrame, owner: str, item: str, time: str, anonymous: str = ""
) -> tuple[Interactions, list[str], pd.DataFrame]:
    """Return the log, the ids of its items, and the lines in its order; lines of one time stay in theirs.

    Args:
        owner: column of whose history it is; item: of the item; time: of naive timestamps, UTC.
        anonymous: prefix of the keys of anonymous histories; "" where all have users.
    """
    keys, row = np.unique(lines[owner].to_numpy(dtype=str), return_inverse=True)
    ordered = lines.assign(row=row).sort_values(["row", time], kind="stable")
    ids, items = np.unique(ordered[item].to_numpy(dtype=str), return_inverse=True)
    log = Interactions(
        [anonymous + key for key in keys.tolist()],
        np.full(len(keys), not anonymous),
        np.concatenate([[0], np.cumsum(np.bincount(ordered["row"]))]).astype(np.int64),
        items.astype(np.int64),
        np.full(len(ordered), CHOSEN_TYPES.index("purchase"), dtype=np.int64),
        ordered[time].to_numpy().astype("datetime64[us]").astype(np.int64),
    )
    return log, ids.tolist(), ordered
