"""Spark's ALS for implicit feedback (Hu, Koren and Volinsky 2008)."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pyspark.ml.recommendation import ALS
from pyspark.sql import SparkSession
from scipy.sparse import csr_matrix

from pipeline_tasks.config.settings import settings
from pipeline_tasks.data.interactions import DataExtent, Floats, Interactions
from pipeline_tasks.evaluation.metrics import Reals
from pipeline_tasks.evaluation.ranking_task import interaction_matrix
from pipeline_tasks.local_runtime.java import java_home


@dataclass(frozen=True)
class AlsOptions:
    """Hyperparameters of Spark's ALS."""

    rank: int = 64
    iterations: int = 15
    regularization: float = 0.05
    """Scaled by Spark with the number of items of a user (Zhou et al. 2008)."""
    alpha: float = 1.0
    """An item of a history has the confidence 1 + alpha, any other 1.

    On Online Retail's validation part (discovery NDCG@10, 8 iterations): 1 gives .0979, 3 .0946, 10 .0835.
    """
    seed: int = 1


@dataclass(frozen=True)
class AlsScorer:
    """Item factors; a user's factors are solved from the history, as in the last half step of Spark's ALS."""

    name: str
    data_extent: DataExtent
    items: Reals
    """(items, rank); 0 for items without events."""
    options: AlsOptions

    def scores(self, histories: Interactions) -> Floats:
        """Return user factors x item factors."""
        return np.asarray(self.user_factors(histories) @ self.items.T, dtype=np.float32)

    def user_factors(self, histories: Interactions) -> Reals:
        """Return (histories, rank): the ridge solution of each history; 0 for an empty one."""
        matrix = interaction_matrix(histories, len(self.items))
        alpha, rank = self.options.alpha, self.items.shape[1]
        gram = self.items.T @ self.items
        users = np.zeros((len(histories), rank))
        for user in np.flatnonzero(np.diff(matrix.indptr)):
            had = self.items[matrix.indices[matrix.indptr[user] : matrix.indptr[user + 1]]]
            penalty = self.options.regularization * len(had) * np.eye(rank)
            users[user] = np.linalg.solve(gram + alpha * had.T @ had + penalty, (1 + alpha) * had.sum(axis=0))
        return users


def fit_spark_als(log: Interactions, n_items: int, options: AlsOptions | None = None, seed: int = 1) -> AlsScorer:
    """Fit on the distinct items of each sequence, in the active Spark session or in one that ends with the fit.

    The default options are those of `AlsOptions` with `seed`.
    """
    options = options or AlsOptions(seed=seed)
    with _session() as spark:
        _, items = train_als(spark, interaction_matrix(log, n_items), options)
    return AlsScorer("spark_als", log.data_extent, items, options)


def train_als(spark: SparkSession, matrix: csr_matrix, options: AlsOptions) -> tuple[Reals, Reals]:
    """Return user and item factors of a binary matrix (users, items); 0 for empty rows and columns."""
    rows, items = matrix.nonzero()
    ratings = pd.DataFrame({"user": rows.astype(np.int32), "item": items.astype(np.int32), "rating": np.float32(1)})
    with tempfile.TemporaryDirectory() as folder:
        # Without checkpoints the plan grows with every iteration, and overflowed the tasks' stack at 15.
        spark.sparkContext.setCheckpointDir(folder)
        als = ALS(
            rank=options.rank,
            maxIter=options.iterations,
            regParam=options.regularization,
            alpha=options.alpha,
            seed=options.seed,
            implicitPrefs=True,
            checkpointInterval=4,
            # With the default of ten blocks, a small log spends most of its time on starting tasks.
            numUserBlocks=spark.sparkContext.defaultParallelism,
            numItemBlocks=spark.sparkContext.defaultParallelism,
        )
        model = als.fit(spark.createDataFrame(ratings))
        sides = (model.userFactors.toPandas(), model.itemFactors.toPandas())
    users, found = (_place(side, size) for side, size in zip(sides, matrix.shape, strict=True))
    return users, found


def _place(found: pd.DataFrame, size: int) -> Reals:
    vectors = np.stack([np.asarray(row, dtype=np.float64) for row in found["features"]])
    factors = np.zeros((size, vectors.shape[1]))
    factors[found["id"].to_numpy()] = vectors
    return factors


@contextmanager
def _session() -> Iterator[SparkSession]:
    active = SparkSession.getActiveSession()
    if active is not None:
        yield active
        return
    os.environ["JAVA_HOME"] = str(java_home(settings()))
    builder = SparkSession.builder.appName("spark_als").master(settings().spark_master)
    started = (
        builder.config("spark.driver.memory", settings().spark_driver_memory)
        .config("spark.sql.execution.arrow.pyspark.enabled", "true")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )
    try:
        yield started
    finally:
        started.stop()
