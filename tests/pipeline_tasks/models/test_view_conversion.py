"""Items that a user viewed but did not purchase yet get a score of their own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline_tasks.config.training_settings import TrainingSettings
from pipeline_tasks.data.interactions import Floats, Interactions
from pipeline_tasks.data.split_parts import Parts
from pipeline_tasks.evaluation.full_ranking import evaluate
from pipeline_tasks.evaluation.ranking_task import RankingTask, build_task
from pipeline_tasks.models import repeat_model
from pipeline_tasks.models.item_to_item import ItemToItemRecipe, fit_item_to_item
from pipeline_tasks.models.repeat_model import RepeatData, RepeatModel, fit_repeat_model, fit_view_conversion
from pipeline_tasks.models.two_tower.saved_recommender import load_repeat_model, save_repeat_model
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.tables.contracts import CHOSEN_TYPES
from pipeline_tasks.times import DAY
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from pipeline_tasks.training.training_choices import needs_view_conversion, view_conversion_share
from pipeline_tasks.training.tune_weights import copy_repeat_weights, tune_repeat_weight
from tests.pipeline_tasks.logs import log_of

pytestmark = pytest.mark.training

ITEMS = 60
VIEW, CART, PURCHASE, RATING = (CHOSEN_TYPES.index(name) for name in ("view", "cart", "purchase", "rating"))
RECIPE = ItemToItemRecipe("set", 4)


def window_shoppers(users: int = 150, days: int = 60) -> Interactions:
    """Every user views four random items on every fifth day, puts one into the cart, and buys it a week later."""
    rng = np.random.default_rng(1)
    sequences, kinds = {}, []
    for number in range(users):
        events = []
        for day in range(int(rng.integers(0, 5)), days, 5):
            seen = [int(item) for item in rng.choice(ITEMS, 4, replace=False)]
            events += [(day, VIEW, item) for item in seen] + [(day, CART, seen[0]), (day + 7, PURCHASE, seen[0])]
        events.sort()
        sequences[f"u{number:03d}"] = [(item, day) for day, _, item in events]
        kinds += [kind for _, kind, _ in events]
    return replace(log_of(sequences), types=np.array(kinds, dtype=np.int64))


@pytest.fixture(scope="module")
def task() -> RankingTask:
    log = window_shoppers()
    stops = np.bincount(log.rows[log.times <= 45 * DAY], minlength=len(log)).astype(np.int64)
    return build_task(Parts(log, stops, log.lengths), "validation", "discovery", ITEMS)


@pytest.fixture(scope="module")
def fitted(task: RankingTask) -> RepeatModel:
    found = fit_view_conversion(RepeatData(task.known, ITEMS, RECIPE))
    assert found is not None
    return found


def test_both_models_share_one_fit_of_the_item_to_item_part(task: RankingTask, monkeypatch: pytest.MonkeyPatch) -> None:
    fits: list[Interactions] = []

    def counted(recipe: ItemToItemRecipe, log: Interactions, n_items: int) -> tuple[Floats, Floats]:
        fits.append(log)
        return fit_item_to_item(recipe, log, n_items)

    monkeypatch.setattr(repeat_model, "fit_item_to_item", counted)
    purchases_repeat = replace(task.known, items=task.known.items // 10)
    data = RepeatData(purchases_repeat, ITEMS, RECIPE)
    assert fit_repeat_model(data) is not None
    assert fit_view_conversion(data) is not None
    assert len(fits) == 1


@pytest.fixture(scope="module")
def recommender(task: RankingTask) -> TwoTowerRecommender:
    texts = np.random.default_rng(2).standard_normal((ITEMS, 12)).astype(np.float32)
    options = FitOptions(epochs=1, dimension=16, text_dimension=8, max_length=20, linear_rank=8, view_conversion=True)
    return TwoTowerTrainer(task.known, texts, options).fit()


def test_purchased_items_are_left_to_the_repeat_model(fitted: RepeatModel) -> None:
    log = replace(log_of({"a": [(1, 1), (2, 1), (2, 3), (3, 4)]}), types=np.array([VIEW, CART, PURCHASE, PURCHASE]))
    pairs = fitted.pairs(log)
    assert list(zip(pairs.rows.tolist(), pairs.items.tolist(), strict=True)) == [(0, 1)]
    assert (fitted.types, fitted.unless) == ((VIEW, CART), (PURCHASE, RATING))


def test_items_in_the_cart_rank_before_viewed_items(fitted: RepeatModel) -> None:
    log = replace(log_of({"a": [(1, 40), (2, 40), (2, 40)]}), types=np.array([VIEW, VIEW, CART]))
    pairs = fitted.pairs(log)
    nothing = np.zeros(len(pairs.rows), dtype=np.float32)
    viewed, carted = replace(fitted, scale=1.0).additions(pairs, nothing, 1)[0, [1, 2]].toarray()[0]
    assert carted > viewed + 1


def test_the_repeat_model_adds_nothing_without_a_weight(recommender: TwoTowerRecommender, task: RankingTask) -> None:
    np.testing.assert_array_equal(
        recommender.scores(task.histories), replace(recommender, view_conversion=None).scores(task.histories)
    )


def test_viewed_items_are_found(recommender: TwoTowerRecommender, task: RankingTask) -> None:
    bare = replace(recommender, view_conversion=None)
    assert recommender.view_conversion is not None
    weighed = tune_repeat_weight(bare, recommender.view_conversion, task)
    before = evaluate(bare, task).overall["ndcg@10"]
    # .22 and .55 on 2026-11-23.
    assert evaluate(replace(recommender, view_conversion=weighed), task).overall["ndcg@10"] > 2 * before


def test_weights_of_one_fit_are_taken_over_by_the_next(fitted: RepeatModel) -> None:
    tuned = replace(fitted, scale=2.0, offset=3.0)
    assert copy_repeat_weights(fitted, tuned) == tuned
    assert copy_repeat_weights(fitted, None) is fitted
    assert copy_repeat_weights(None, fitted) is None


def test_a_saved_view_conversion_is_read_back(fitted: RepeatModel, task: RankingTask, tmp_path: Path) -> None:
    save_repeat_model(fitted, tmp_path / "looked_at")
    read = load_repeat_model(tmp_path / "looked_at")
    assert read is not None
    assert (read.types, read.unless, read.scale) == (fitted.types, fitted.unless, 0.0)
    np.testing.assert_array_equal(read.levels, fitted.levels)


def test_a_log_of_only_purchases_has_no_view_conversion(task: RankingTask) -> None:
    purchases = task.known.only(task.known.types == PURCHASE)
    assert view_conversion_share(purchases) == 0
    assert fit_view_conversion(RepeatData(purchases, ITEMS, RECIPE)) is None
    assert not needs_view_conversion(purchases, TrainingSettings())


def test_view_conversion_is_chosen_from_the_log_unless_it_is_set(task: RankingTask) -> None:
    # A few first purchases fell before the first day.
    assert view_conversion_share(task.known) == pytest.approx(1, abs=0.01)
    assert needs_view_conversion(task.known, TrainingSettings())
    assert not needs_view_conversion(task.known, TrainingSettings(repeats=False))
