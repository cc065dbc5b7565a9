from typing import get_args

import numpy as np
import pytest

from pipeline_tasks.models.item_to_item import (
    POWER,
    ItemToItemKind,
    ItemToItemRecipe,
    fit_item_to_item,
    history_weights,
    recent_items,
    sequence_factors,
    sequence_item_to_item,
)
from tests.pipeline_tasks.logs import random_log

LOG = random_log(300, 60, seed=5)
WHOLE = sequence_item_to_item(LOG, 60, POWER).scores(LOG)


def test_a_rank_as_large_as_the_catalog_is_exact() -> None:
    user_side, item_side = sequence_factors(LOG, 60, 60, seed=1)
    np.testing.assert_allclose((recent_items(LOG, 60) @ user_side) @ item_side.T, WHOLE, rtol=1e-3, atol=1e-4)


def test_a_higher_rank_agrees_better_with_the_full_matrix() -> None:
    def agreement(rank: int) -> float:
        user_side, item_side = sequence_factors(LOG, 60, rank, seed=1)
        return float(np.corrcoef(((recent_items(LOG, 60) @ user_side) @ item_side.T).ravel(), WHOLE.ravel())[0, 1])

    assert agreement(16) < agreement(48)
    assert agreement(48) > 0.8


def test_codes_are_unbiased() -> None:
    sums = [recent_items(LOG, 60) @ user_side @ item_side.T for user_side, item_side in _many_seeds(40)]
    assert np.corrcoef(np.mean(sums, axis=0).ravel(), WHOLE.ravel())[0, 1] > 0.97


def _many_seeds(number: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [sequence_factors(LOG, 60, 24, seed) for seed in range(number)]


@pytest.mark.parametrize("kind", get_args(ItemToItemKind))
def test_every_kind_gives_nothing_in_no_width(kind: ItemToItemKind) -> None:
    user_side, item_side = fit_item_to_item(ItemToItemRecipe(kind, 0), LOG, 60)
    assert user_side.shape == item_side.shape == (60, 0)


def test_a_sequence_weighs_its_latest_item_most_and_a_set_all_equally() -> None:
    assert (history_weights("set", LOG, 60, 0, 0).data == 1).all()
    latest = history_weights("sequence", LOG, 60, 0, 0)
    assert latest.max() > latest.data.min()
