import numpy as np
import pytest

from pipeline_tasks.data import item_cooccurrence
from pipeline_tasks.data.item_cooccurrence import cooccurrence, id_factors
from pipeline_tasks.encoders import whitening
from pipeline_tasks.encoders.whitening import fit_whitening
from tests.pipeline_tasks.logs import log_of, random_log


def test_counts_decay_with_the_gap_and_an_item_is_not_its_own_neighbor() -> None:
    near = cooccurrence(log_of({"a": [(0, 1), (1, 2), (0, 3)], "b": [(2, 1), (1, 1)]}), 4).toarray()
    np.testing.assert_allclose(near, [[0, 2, 0, 0], [2, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]])


def test_the_most_frequent_items_of_a_large_catalog_are_decomposed(monkeypatch: pytest.MonkeyPatch) -> None:
    log = random_log(50, 12, seed=1)
    monkeypatch.setattr(item_cooccurrence, "MOST_ITEMS", 5)
    found = id_factors(log, 12, 4, [1]).any(axis=1)
    counts = np.bincount(log.items, minlength=12)
    assert found.sum() == 5
    assert counts[found].min() >= counts[~found].max()


def test_whitening_in_blocks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).standard_normal((100, 6)).astype(np.float32) @ np.diag(range(1, 7))
    whole = fit_whitening(vectors.astype(np.float32), 4)
    monkeypatch.setattr(whitening, "_ROWS", 7)
    for one, other in zip(whole, fit_whitening(vectors.astype(np.float32), 4), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_a_table_depends_on_its_own_seed_only() -> None:
    log = random_log(60, 40, seed=2)
    together = id_factors(log, 40, 4, [1, 2])
    apart = [id_factors(log, 40, 4, [seed]) for seed in (1, 2)]
    np.testing.assert_array_equal(together, np.concatenate(apart, axis=1))
    np.testing.assert_allclose([table.std() for table in apart], 1, rtol=1e-5)
