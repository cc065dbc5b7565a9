"""Clusters users by taste: K-means over the user vectors of a run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_tasks.topk.arrays import Indices, Vectors

SAMPLE: Final = 20_000
"""Maximum number of users that the centers are fitted on; 8 centers in 128 dimensions need no more."""
_RESTARTS: Final = 3
_SEED: Final = 1


def tastes(vectors: Vectors, width: int) -> Vectors:
    """Return the first `width` columns of user vectors (n, d), normalized to length 1; zeros stay zeros."""
    part = vectors[:, :width].astype(np.float64)
    lengths = np.linalg.norm(part, axis=1, keepdims=True)
    return np.asarray(part / np.where(lengths > 0, lengths, 1), np.float32)


def fit_clusters(sample: Vectors, clusters: int) -> Vectors:
    """Return (at most `clusters`, width) centers of tastes (n, width), the largest cluster first; seeded.

    Returns no center if there is no user.
    """
    # Imported here because Spark's executors only assign clusters.
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    different = len(np.unique(sample, axis=0))
    if different == 0:
        return np.zeros((0, sample.shape[1]), np.float32)
    # One thread, because several threads add in an order that differs between runs.
    with threadpool_limits(1):
        fitted = KMeans(min(clusters, different), n_init=_RESTARTS, random_state=_SEED).fit(sample)
    sizes = np.bincount(fitted.labels_, minlength=len(fitted.cluster_centers_))
    return np.asarray(fitted.cluster_centers_[np.argsort(-sizes, kind="stable")], np.float32)


def nearest_center(part: Vectors, centers: Vectors) -> Indices:
    """Return the index of the nearest center of each taste (n, width); the first one at equal distance."""
    wide = centers.astype(np.float64)
    distances = (wide**2).sum(axis=1) - 2 * part.astype(np.float64) @ wide.T
    return np.asarray(np.round(distances, 6).argmin(axis=1), np.int64)


def sample_tastes(users: Path, total: int, width: int) -> Vectors:
    """Return the tastes of every n-th user, at most `SAMPLE`."""
    vectors = sample_vectors(users, total, SAMPLE)
    return tastes(vectors, width) if len(vectors) else np.zeros((0, width), np.float32)


def sample_vectors(users: Path, total: int, most: int) -> Vectors:
    """Return the vectors (n, d) of every n-th of `total` users, about `most`; reads one file at a time."""
    step = max(-(-total // most), 1)
    parts = [vectors[::step] for vectors in _read(users)]
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)


def _read(users: Path) -> Iterator[Vectors]:
    for path in sorted(users.glob("*.parquet")):
        column: pa.Array = pq.read_table(path, columns=["vector"])["vector"].combine_chunks()
        if len(column):
            yield column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
