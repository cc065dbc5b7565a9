"""A job for the cluster: its workers must run this environment and share the home with the driver.

spark-submit --master spark://spark-master:7077 count_on_cluster.py
"""

import json
import socket
from collections.abc import Iterable

from pipeline_tasks.config.settings import settings
from spark_jobs.common.spark_session import open_session


def where_it_runs(_: Iterable[int]) -> list[tuple[str, str]]:
    """Return the executor's host and its settings' home: it imports our code as the driver does."""
    return [(socket.gethostname(), str(settings().home))]


def main() -> None:
    """Write and read 1,000 rows through the shared home, and print what was found."""
    spark = open_session("count_on_cluster")
    folder = str(settings().home / "count_on_cluster")
    spark.range(1_000).write.mode("overwrite").parquet(folder)
    executors = spark.sparkContext.parallelize(range(2), 2).mapPartitions(where_it_runs).collect()
    found = {
        "master": spark.sparkContext.master,
        "rows": spark.read.parquet(folder).count(),
        "driver": socket.gethostname(),
        "executors": sorted(set(executors)),
    }
    print(f"found {json.dumps(found)}")


if __name__ == "__main__":
    main()
