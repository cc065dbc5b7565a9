"""Chooses the split of a window without a set strategy: in time, unless too few sequences cross a cut-off."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_tasks.data.split_parts import microseconds
from spark_jobs.common.stage_table import staged_columns
from spark_jobs.splitting.time_cutoffs import Cutoffs

MIN_CROSSING_SHARE: Final = 0.02
"""Smallest share of sequences with events on both sides of a cut-off. Sessions rarely cross one: 1 % of 17,765 in three
weeks. Users with two events or more do: 36 and 45 % in Online Retail, 85 and 92 % in Complete Journey."""


def crossing_share(files: Sequence[str], cut: Cutoffs) -> float:
    """Return the share of sequences with events before and after a cut-off, for the cut-off that fewer cross.

    Counts sequences of two events or more: those of known users where there are any, else those of anonymous sessions.
    Returns 1 where there are none.

    Args:
        files: files of the staged table `sequences`.
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
    """Return (first time, last time, whether the user is known) of the sequences of two events or more.

    Three arrays of the same length; times are epoch microseconds.
    """
    keys, timestamps = staged_columns(file, "user_key", "timestamps").columns
    lists: pa.ListArray = timestamps.combine_chunks()
    offsets, times = lists.offsets.to_numpy(), lists.values.to_numpy()
    known = pc.is_valid(keys).to_numpy()
    long_enough = np.flatnonzero(np.diff(offsets) >= 2)
    return times[offsets[long_enough]], times[offsets[long_enough + 1] - 1], known[long_enough]
