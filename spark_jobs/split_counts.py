"""Counts that a split needs, each from as little data as it takes."""

from collections.abc import Callable, Sequence
from datetime import date

import numpy as np
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.settings import SplitStrategy
from spark_jobs.stage_table import staged_column
from spark_jobs.time_cutoffs import Moments


def count_by_day(chosen: DataFrame) -> dict[date, int]:
    """Return the events of every day."""
    return {row["ds"]: row["count"] for row in chosen.groupBy("ds").count().collect()}


def day_moments(chosen: DataFrame) -> Callable[[date], Moments]:
    """Return a function that reads the times of one day's events, in epoch microseconds."""

    def moments(day: date) -> Moments:
        column = chosen.where(F.col("ds") == F.lit(day)).select(F.unix_micros("ts").alias("micros")).toArrow()
        times: Moments = column["micros"].to_numpy().astype(np.int64)
        return times

    return moments


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
