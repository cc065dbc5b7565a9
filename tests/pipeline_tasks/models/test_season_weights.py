import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.data.split_parts import Parts
from pipeline_tasks.evaluation.ranking_task import RankingTask, build_task, interaction_matrix
from pipeline_tasks.models.item_to_item import ItemToItemRecipe, fit_item_to_item, half_life, history_weights
from pipeline_tasks.models.season_weights import history_half_life, recent_history, season_weights
from pipeline_tasks.times import DAY
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.tune_item_to_item_weight import tune_item_to_item
from tests.pipeline_tasks.logs import log_of, random_log

ITEMS = 20


def test_a_history_fades_and_the_last_time_counts() -> None:
    log = log_of({"a": [(1, 0), (2, 10), (1, 20)], "b": [(3, 30)]})
    weights = recent_history(log, 5, int(log.times.max()), 10 * DAY).toarray()
    np.testing.assert_allclose(weights, np.array([[0, 0.5, 0.25, 0, 0], [0, 0, 0, 1.0, 0]]))
    earlier = recent_history(log, 5, int(log.times[0]), 10 * DAY).toarray()
    assert earlier[0].tolist() == [0, 1, 0, 0, 0], "nothing after the moment is seen"
    assert not earlier[1].any()


def test_taste_is_ridge_regression_on_recent_histories() -> None:
    log = random_log(80, ITEMS, seed=2)
    end, span = int(log.times.max()), float(np.ptp(log.times))
    matrix = recent_history(log, ITEMS, end, span / 8).toarray()
    weights = season_weights(log, ITEMS)
    penalty = 10 * float((matrix**2).sum(axis=0)[weights.chosen].mean())
    found = weights.recent.numpy()
    for item in (0, 7):
        others = np.delete(np.arange(len(weights.chosen)), item)
        ridge = Ridge(alpha=penalty, fit_intercept=False)
        ridge.fit(matrix[:, weights.chosen[others]], matrix[:, weights.chosen[item]])
        assert np.corrcoef(ridge.coef_, found[others, item])[0, 1] == pytest.approx(1, abs=1e-4)
        assert found[item, item] == 0


def test_previously_purchased_items_are_no_upcoming_items() -> None:
    log = log_of({name: [(1, 0), (2, 50), (1, 59), (3, 59)] for name in "abcd"} | {"z": [(4, 0), (4, 60), (4, 1)]})
    weights = season_weights(log, 5)
    place = {int(item): row for row, item in enumerate(weights.chosen)}
    assert weights.upcoming[place[1], place[3]] > 0
    assert weights.upcoming[place[1], place[1]] == 0


def test_both_parts_have_the_same_spread() -> None:
    log = random_log(300, ITEMS, seed=4)
    weights = season_weights(log, ITEMS)
    histories = recent_history(log, ITEMS, int(log.times.max()), history_half_life(log))[:, weights.chosen]
    for part in (weights.recent, weights.upcoming):
        spread = torch.from_numpy(histories.toarray() @ part.numpy()).std(dim=1).mean()
        assert float(spread) == pytest.approx(1, rel=1e-3)


def test_at_full_rank_the_factors_are_the_weights() -> None:
    log = random_log(80, ITEMS, seed=2)
    user_side, item_side = fit_item_to_item(ItemToItemRecipe("season", ITEMS, 0.5), log, ITEMS)
    weights = season_weights(log, ITEMS)
    joined = np.zeros((ITEMS, ITEMS), dtype=np.float32)
    joined[np.ix_(weights.chosen, weights.chosen)] = weights.joined(0.5).numpy()
    np.testing.assert_allclose(user_side @ item_side.T, joined, atol=1e-3 * np.abs(joined).max())


@pytest.mark.parametrize("moves", [True, False])
def test_upcoming_items_count_only_where_demand_is_seasonal(moves: bool) -> None:
    task = _shop(moves)
    chosen = tune_item_to_item(task, FitOptions(linear_rank=8))
    assert (chosen.linear_coming > 0) == moves
    assert chosen.linear_kind == "season" or not moves


def test_without_times_or_without_the_part_nothing_is_chosen() -> None:
    task = _shop(moves=True)
    assert tune_item_to_item(task, FitOptions(linear_rank=0)) == FitOptions(linear_rank=0)
    sequence = FitOptions(linear_rank=8, linear_kind="sequence")
    assert tune_item_to_item(task, sequence) == sequence


def test_kinds_weigh_a_history_as_they_read_it() -> None:
    log = random_log(30, ITEMS, seed=5)
    end = int(log.times.max())
    assert half_life("set", log) == 0
    assert (history_weights("set", log, ITEMS, end, 0) != interaction_matrix(log, ITEMS)).nnz == 0
    fading = history_weights("season", log, ITEMS, end, half_life("season", log))
    assert fading.max() <= 1
    assert (fading.getnnz(axis=1) == interaction_matrix(log, ITEMS).getnnz(axis=1)).all()


def _shop(moves: bool) -> RankingTask:
    """Return a shop with two tastes; with seasons, each item is in demand for a while, one after the other."""
    rng = np.random.default_rng(3)
    histories = {}
    for user in range(200):
        days = np.sort(rng.integers(0, 100, 14))
        season = days // 10 if moves else rng.integers(0, 10, 14)
        histories[str(user)] = [
            (int(3 * (2 * now + user % 2) + rng.integers(0, 3)), int(day))
            for now, day in zip(season, days, strict=True)
        ]
    log: Interactions = log_of(histories)
    stops = [np.bincount(log.rows[log.times < log.times.min() + day * DAY], minlength=len(log)) for day in (75, 85)]
    parts = Parts(log, stops[0].astype(np.int64), stops[1].astype(np.int64))
    return build_task(parts, "validation", "discovery", 60)
