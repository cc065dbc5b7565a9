"""Where Spark runs and with how many cores, for a classic session and for one of Spark Connect alike."""

import os
import re
from functools import lru_cache
from typing import Final

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

_LOCAL: Final = re.compile(r"local(?:\[(\*|\d+)[^\]]*\])?$")
_MOST_PARTITIONS: Final = 100_000


def is_connect(spark: SparkSession) -> bool:
    """Return whether the session is a client of a Spark Connect server."""
    return not hasattr(type(spark), "sparkContext")


def is_local(spark: SparkSession) -> bool:
    """Return whether Spark runs in one process on one machine."""
    return _LOCAL.match(spark.conf.get("spark.master") or "") is not None


@lru_cache(maxsize=4)
def cores(spark: SparkSession) -> int:
    """Return the number of tasks that Spark runs at a time: its default parallelism."""
    local = _LOCAL.match(spark.conf.get("spark.master") or "")
    if local:
        count = local.group(1) or "1"
        return os.cpu_count() or 1 if count == "*" else int(count)
    ids = spark.range(_MOST_PARTITIONS).select(F.spark_partition_id().alias("id"))
    return int(ids.agg(F.count_distinct("id")).collect()[0][0])
