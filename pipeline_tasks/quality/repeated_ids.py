"""Counts ids that stand more than once within a day: a task for each day reads one column, and sorts or hashes it.

GROUP BY moves every id through a shuffle to find that none stands twice: 12.9 s of a gate of 18.8 million events (two
cores), where this takes .3 s in threads. Imports no Great Expectations: Spark's workers import this module.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import IntegralType

from pipeline_tasks.lake.file_location import file_location
from pipeline_tasks.lake.parquet_footers import file_days

MOST_TEXTS: Final = 20_000_000
"""Of a day: hashed, each takes some 100 bytes of its task's memory, where a number that is sorted takes 16."""


def repeated_ids(rows: DataFrame, column: str) -> int:
    """Return how many (ds, id) stand in two rows or more. NULL is an id like any other.

    Spark groups the rows where they are not read from files of one day each, and where a day has too many texts.
    """
    days: dict[object, list[str]] = defaultdict(list)
    count: Counter[object] = Counter()
    for file in file_days(rows.inputFiles()):
        days[file.ds].append(file.file)
        count[file.ds] += file.rows
    many = max(count.values(), default=0) > MOST_TEXTS and not isinstance(rows.schema[column].dataType, IntegralType)
    if many or not days or None in days:
        return rows.groupBy("ds", column).count().where(F.col("count") > 1).count()
    context, nights = rows.sparkSession.sparkContext, list(days.values())
    if str(context.master).startswith("local"):
        # Spark's tasks would be processes on these same cores, which import all this for 1.3 s first.
        with ThreadPoolExecutor(context.defaultParallelism) as threads:
            return sum(threads.map(lambda files: _repeated(files, column), nights))
    tasks = context.parallelize(nights, len(nights))
    return int(tasks.map(lambda files: _repeated(files, column)).sum())


def _repeated(files: Sequence[str], column: str) -> int:
    read = [pq.read_table(path, columns=[column], filesystem=system) for system, path in map(file_location, files)]
    ids = pa.concat_tables(read)[column]
    if not pa.types.is_integer(ids.type):
        return int(pc.sum(pc.greater(ids.value_counts().field("counts"), 1)).as_py() or 0)
    ordered = np.sort(ids.drop_null().to_numpy())
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    return len(repeated) + int(ids.null_count > 1)
