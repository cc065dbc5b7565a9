from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_tasks.models.user_clusters import fit_clusters, nearest_center, sample_tastes, tastes
from pipeline_tasks.topk.arrays import Vectors


def three_groups(sizes: tuple[int, int, int]) -> Vectors:
    rng = np.random.default_rng(3)
    groups = [np.eye(4)[place] + rng.normal(0, 0.05, (size, 4)) for place, size in enumerate(sizes)]
    return tastes(np.concatenate(groups).astype(np.float32), 4)


def test_groups_are_found_and_numbered_by_size() -> None:
    sample = three_groups((30, 90, 60))
    centers = fit_clusters(sample, 3)
    assert np.bincount(nearest_center(sample, centers)).tolist() == [90, 60, 30]
    assert np.array_equal(fit_clusters(sample, 3), centers), "seeded"


def test_fewer_users_than_groups_and_none_at_all() -> None:
    few = np.eye(2, dtype=np.float32)
    assert len(fit_clusters(few, 8)) == 2
    assert fit_clusters(few[:0], 8).shape == (0, 2)


def test_tastes_are_the_content_part_at_length_one() -> None:
    found = tastes(np.array([[3, 4, 99], [0, 0, 5]], np.float32), 2)
    assert found.tolist() == [[np.float32(0.6), np.float32(0.8)], [0, 0]]


def test_sample_reads_all_files_in_order(tmp_path: Path) -> None:
    for number, rows in enumerate(([[1.0, 0.0]], [[0.0, 2.0], [3.0, 0.0]])):
        column = pa.array(rows, pa.list_(pa.float32()))
        pq.write_table(pa.table({"vector": column}), tmp_path / f"part-{number}.parquet")
    assert sample_tastes(tmp_path, 3, 2).tolist() == [[1, 0], [0, 1], [1, 0]]
