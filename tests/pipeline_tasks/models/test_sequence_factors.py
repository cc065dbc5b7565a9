from typing import get_args

import numpy as np
import pytest

from pipeline_tasks.models.item_to_item import recent_items, sequence_item_to_item
from pipeline_tasks.models.item_to_item_part import LinearKind, LinearRecipe, fit_linear_part, history_weights
from pipeline_tasks.models.sequence_factors import POWER, sequence_factors
from tests.pipeline_tasks.logs import random_log

LOG = random_log(300, 60, seed=5)
WHOLE = sequence_item_to_item(LOG, 60, POWER).scores(LOG)


def test_a_rank_as_large_as_the_catalog_is_exact() -> None:
    inward, outward = sequence_factors(LOG, 60, 60, seed=1)
    np.testing.assert_allclose((recent_items(LOG, 60) @ inward) @ outward.T, WHOLE, rtol=1e-3, atol=1e-4)


def test_codes_keep_what_directions_lose() -> None:
    def agreement(rank: int) -> float:
        inward, outward = sequence_factors(LOG, 60, rank, seed=1)
        return float(np.corrcoef(((recent_items(LOG, 60) @ inward) @ outward.T).ravel(), WHOLE.ravel())[0, 1])

    assert agreement(16) < agreement(48)
    assert agreement(48) > 0.8


def test_codes_are_unbiased() -> None:
    sums = [recent_items(LOG, 60) @ inward @ outward.T for inward, outward in _many_seeds(40)]
    assert np.corrcoef(np.mean(sums, axis=0).ravel(), WHOLE.ravel())[0, 1] > 0.97


def _many_seeds(number: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [sequence_factors(LOG, 60, 24, seed) for seed in range(number)]


@pytest.mark.parametrize("kind", get_args(LinearKind))
def test_every_kind_gives_nothing_in_no_width(kind: LinearKind) -> None:
    inward, outward = fit_linear_part(LinearRecipe(kind, 0), LOG, 60)
    assert inward.shape == outward.shape == (60, 0)


def test_a_sequence_counts_its_latest_most_and_a_set_all_alike() -> None:
    assert (history_weights("set", LOG, 60, 0, 0).data == 1).all()
    latest = history_weights("sequence", LOG, 60, 0, 0)
    assert latest.max() > latest.data.min()
