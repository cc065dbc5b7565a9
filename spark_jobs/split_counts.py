"""Counts that a split needs, each from as little data as it takes."""

from collections.abc import Sequence

import numpy as np
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.moments import DAY
from pipeline_tasks.settings import SplitStrategy
from spark_jobs.stage_table import staged_column
from spark_jobs.time_cutoffs import Counts


def count_by_day(chosen: DataFrame) -> dict[int, int]:
    """Return the events of every day, by its first microsecond since 1970."""
    per_day = chosen.groupBy(F.unix_date("ds").alias("day")).count().collect()
    return {row["day"] * DAY: row["count"] for row in per_day}


def span_counts(chosen: DataFrame) -> Counts:
    """Return a function that counts events by spans of time within one day.

    The driver holds counts, never a day's times: 8 bytes an event would be 800 MB for 100 million events a day.
    """
    micros = F.unix_micros("ts")

    def count(first: int, end: int, width: int) -> dict[int, int]:
        # Compared with constants, so that other days' files and row groups are not read.
        day = F.col("ds") == F.date_from_unix_date(F.lit(first // DAY))
        begin, stop = (F.timestamp_micros(F.lit(moment)) for moment in (first, end))
        within = chosen.where(day & (F.col("ts") >= begin) & (F.col("ts") < stop))
        spans = within.groupBy((micros - F.pmod(micros, F.lit(width))).alias("start")).count().toArrow()
        return dict(zip(spans["start"].to_pylist(), spans["count"].to_pylist(), strict=True))

    return count


def count_positions(files: Sequence[str], strategy: SplitStrategy) -> tuple[int, int, int]:
    """Return the events of train, validation and test by position in the staged sequences.

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
