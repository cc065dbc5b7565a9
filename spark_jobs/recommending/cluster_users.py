"""Assigns every user with a vector to their group of taste."""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from pipeline_tasks.models.user_clusters import nearest_center, tastes
from pipeline_tasks.topk.arrays import Vectors

CLUSTERED = "user_key string, cluster int"


def cluster_users(vectors: DataFrame, centers: Vectors) -> DataFrame:
    """Return (user_key, cluster) of (user_key, vector); clusters count from 1."""
    # Distances over whole blocks: no Spark expression does this.
    return vectors.select("user_key", "vector").mapInArrow(_assigner(centers), CLUSTERED)


def _assigner(centers: Vectors) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def assign(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows:
                flat = batch["vector"].flatten().to_numpy(zero_copy_only=False)
                part = tastes(flat.reshape(batch.num_rows, -1), centers.shape[1])
                cluster = nearest_center(part, centers) + 1
                yield pa.RecordBatch.from_pydict(
                    {"user_key": batch["user_key"], "cluster": pa.array(cluster.astype(np.int32))}
                )

    return assign
