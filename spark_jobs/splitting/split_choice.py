"""Chooses the split of a window without a set strategy: in time, unless too few sequences cross a cut-off."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.config.settings import SplitStrategy
from pipeline_tasks.data.split_parts import microseconds
from pipeline_tasks.times import DAY
from spark_jobs.common.stage_table import staged_column, staged_columns
from spark_jobs.landing.event_days import day_number
from spark_jobs.splitting.time_cutoffs import Counts, Cutoffs

MIN_CROSSING_SHARE: Final = 0.02
"""Smallest share of sequences with events on both sides of a cut-off. Sessions rarely cross one: 1 % of 17,765 in three
weeks. Users with two events or more do: 36 and 45 % in Online Retail, 85 and 92 % in Complete Journey."""


def count_by_day(chosen: DataFrame, zone: str | None = None) -> dict[int, int]:
    """Return the number of events of every day in UTC, by its first epoch microsecond; `zone` is that of `ds`."""
    day = F.unix_date("ds") if zone is None else day_number("unix_micros(ts)", None)
    per_day = chosen.groupBy(day.alias("day")).count().collect()
    return {row["day"] * DAY: row["count"] for row in per_day}


def count_by_span(chosen: DataFrame, zone: str | None = None) -> Counts:
    """Return a function that counts events by spans of time within one day in UTC; `zone` is that of `ds`.

    The driver holds counts only. The times of 100 million events a day would take 800 MB.
    """
    micros = F.unix_micros("ts")

    def count(first: int, end: int, width: int) -> dict[int, int]:
        # Comparisons with constants let Spark skip the files and row groups of other days.
        in_utc = date(1970, 1, 1) + timedelta(days=first // DAY)
        around = timedelta(days=1 if zone else 0)
        day = F.col("ds").between(in_utc - around, in_utc + around)
        begin, stop = (F.timestamp_micros(F.lit(time)) for time in (first, end))
        within = chosen.where(day & (F.col("ts") >= begin) & (F.col("ts") < stop))
        spans = within.groupBy((micros - F.pmod(micros, F.lit(width))).alias("start")).count().toArrow()
        return dict(zip(spans["start"].to_pylist(), spans["count"].to_pylist(), strict=True))

    return count


def count_positions(files: Sequence[str], strategy: SplitStrategy) -> tuple[int, int, int]:
    """Return the number of events of train, validation and test by position in the staged sequences.

    leave_one_out holds back two events of every history of three or more; per_user cuts at 60 % and 80 %.
    """
    parts = np.zeros(3, dtype=np.int64)
    for file in files:
        lengths = pc.list_value_length(staged_column(file, "timestamps")).to_numpy().astype(np.int64)
        train, validation = (lengths * 6) // 10, (lengths * 8) // 10
        if strategy == "leave_one_out":
            held = (lengths >= 3).astype(np.int64)
            train, validation = lengths - 2 * held, lengths - held
        parts += np.array([train.sum(), (validation - train).sum(), (lengths - validation).sum()])
    return int(parts[0]), int(parts[1]), int(parts[2])


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
