"""How a window is split where neither the form nor the source says: in time, unless that would ask nobody anything."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_tasks.data.split_parts import microseconds
from spark_jobs.common.stage_table import staged_columns
from spark_jobs.splitting.time_cutoffs import Cutoffs

MIN_CROSSING_SHARE: Final = 0.02
"""Of the histories. Visits end before the next part begins: of 17,765 in three weeks 1 % go on past a cut-off; of
users with two events, 36 and 45 % in Online Retail, 85 and 92 % in Complete Journey."""


def crossing_share(files: Sequence[str], cut: Cutoffs) -> float:
    """Return the share of histories that have events before and after a cut-off, of the cut-off that fewer cross.

    Of histories of two events or more; of known users where there are some, else of anonymous sessions. 1 where
    there is none.

    Args:
        files: of the staged table `sequences`.
    """
    counts = np.zeros((2, 3), dtype=np.int64)
    ends = [microseconds(end) for end in (cut.train_end, cut.validation_end)]
    for file in files:
        first, last, known = _spans(file)
        for place, group in enumerate((known, ~known)):
            crossing = [int((group & (first <= end) & (last > end)).sum()) for end in ends]
            counts[place] += np.array([int(group.sum()), *crossing])
    of_known, of_sessions = counts
    total, *crossing = of_known if of_known[0] else of_sessions
    return min(crossing) / total if total else 1.0


def _spans(file: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return first and last moment (epoch microseconds) of the file's histories of two events or more, and whether
    their user is known."""
    keys, timestamps = staged_columns(file, "user_key", "timestamps").columns
    lists: pa.ListArray = timestamps.combine_chunks()
    offsets, times = lists.offsets.to_numpy(), lists.values.to_numpy()
    known = pc.is_valid(keys).to_numpy()
    long_enough = np.flatnonzero(np.diff(offsets) >= 2)
    return times[offsets[long_enough]], times[offsets[long_enough + 1] - 1], known[long_enough]
