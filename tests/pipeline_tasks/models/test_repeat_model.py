from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.data.item_catalog import make_catalog
from pipeline_tasks.data.split_parts import Parts
from pipeline_tasks.encoders.text_encoder import PACKAGED_ENCODER
from pipeline_tasks.evaluation.full_ranking import evaluate
from pipeline_tasks.evaluation.ranking_task import RankingTask, build_task
from pipeline_tasks.models.item_to_item import ItemToItemRecipe
from pipeline_tasks.models.repeat_model import RepeatData, RepeatModel, fit_repeat_model, own_pairs
from pipeline_tasks.models.two_tower.item_content import ContentEncoders, ItemVocabulary
from pipeline_tasks.models.two_tower.saved_recommender import (
    SavedRecommender,
    load_recommender,
    load_repeat_model,
    save_repeat_model,
)
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.times import DAY
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from pipeline_tasks.training.tune_weights import tune_repeat_weight
from tests.pipeline_tasks.logs import log_of

pytestmark = pytest.mark.training

ITEMS = 30
TEXTS = np.random.default_rng(2).standard_normal((ITEMS, 12)).astype(np.float32)


def habits(users: int = 60, days: int = 60) -> Interactions:
    """Every user wants one item every five days, and on every sixth day another item only once."""
    rng = np.random.default_rng(1)
    sequences = {}
    for number in range(users):
        usual, start = int(rng.integers(0, 5)), int(rng.integers(0, 5))
        events = [(usual, day) for day in range(start, days, 5)]
        events += [(int(rng.integers(5, ITEMS)), day) for day in range(start, days, 6)]
        sequences[f"u{number:02d}"] = sorted(events, key=lambda event: event[1])
    return log_of(sequences)


@pytest.fixture(scope="module")
def task() -> RankingTask:
    log = habits()
    stops = np.bincount(log.rows[log.times <= 45 * DAY], minlength=len(log)).astype(np.int64)
    return build_task(Parts(log, stops, log.lengths), "validation", "repeats", ITEMS)


@pytest.fixture(scope="module")
def recommender(task: RankingTask) -> TwoTowerRecommender:
    options = FitOptions(epochs=1, dimension=16, text_dimension=8, max_length=20, linear_rank=8, repeats=True)
    return TwoTowerTrainer(task.known, TEXTS, options).fit()


def own_of(recommender: TwoTowerRecommender) -> RepeatModel:
    assert recommender.repeat_model is not None
    return recommender.repeat_model


def test_pairs_count_a_basket_once() -> None:
    pairs = own_pairs(log_of({"a": [(1, 1), (1, 1), (2, 1), (1, 4)], "b": [(2, 7)]}), 3)
    assert list(zip(pairs.rows.tolist(), pairs.items.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 2)]
    assert pairs.events.tolist() == [3, 1, 1]
    assert pairs.steps.tolist() == [2, 1, 1]
    assert (pairs.first // DAY).tolist() == [1, 1, 7]
    assert (pairs.last // DAY).tolist() == [4, 1, 7]
    assert pairs.sequence_steps.tolist() == [2, 2, 1]
    assert pairs.decayed(4 * DAY, 3 * DAY)[0] == pytest.approx(2 * 0.5 + 1)


def test_what_is_wanted_again_is_ranked_first(recommender: TwoTowerRecommender, task: RankingTask) -> None:
    before = evaluate(replace(recommender, repeat_model=None), task).overall["ndcg@10"]
    recommender.repeat_model = tune_repeat_weight(replace(recommender, repeat_model=None), own_of(recommender), task)
    assert evaluate(recommender, task).overall["ndcg@10"] > before


def test_only_own_items_get_an_addition(recommender: TwoTowerRecommender, task: RankingTask) -> None:
    some = task.histories.select(np.arange(7))
    added = recommender.repeat_additions(some)
    plain = replace(recommender, repeat_model=None).scores(some)
    np.testing.assert_allclose(recommender.scores(some) - plain, added.toarray(), atol=1e-4)
    for row in range(7):
        assert set(added[row].indices) == set(some.items[some.offsets[row] : some.offsets[row + 1]].tolist())


def test_others_do_not_change_an_addition(recommender: TwoTowerRecommender, task: RankingTask) -> None:
    alone = recommender.repeat_additions(task.histories.select(np.array([3])))
    among = recommender.repeat_additions(task.histories)[3]
    np.testing.assert_allclose(alone.toarray(), among.toarray(), rtol=1e-4, atol=1e-4)


def test_what_is_saved_is_read_back(recommender: TwoTowerRecommender, task: RankingTask, tmp_path: Path) -> None:
    save_repeat_model(own_of(recommender), tmp_path / "own")
    again = replace(recommender, repeat_model=load_repeat_model(tmp_path / "own"))
    np.testing.assert_array_equal(again.scores(task.histories), recommender.scores(task.histories))
    assert load_repeat_model(tmp_path / "nothing") is None


def test_a_saved_recommender_keeps_it(recommender: TwoTowerRecommender, task: RankingTask, tmp_path: Path) -> None:
    catalog = make_catalog([{"item_id": f"i{n:02d}", "title": f"thing {n}"} for n in range(ITEMS)], [])
    encoders = ContentEncoders(PACKAGED_ENCODER, None, ItemVocabulary([]))
    facts = {"options": {"content_blocks": [TEXTS.shape[1]]}}
    saved = SavedRecommender(recommender, catalog, TEXTS, encoders, facts)
    saved.save(tmp_path / "saved")
    again = load_recommender(tmp_path / "saved")
    np.testing.assert_allclose(again.recommender.scores(task.histories), recommender.scores(task.histories), atol=1e-5)
    moved = again.for_catalog(catalog, habits())
    assert moved.repeat_additions(task.histories).nnz == recommender.repeat_additions(task.histories).nnz


def test_a_later_moment_moves_the_demand(recommender: TwoTowerRecommender, task: RankingTask) -> None:
    later = own_of(recommender).at(habits(), ITEMS)
    assert later.moment > own_of(recommender).moment
    assert not np.array_equal(later.levels, own_of(recommender).levels)


def test_events_newer_than_the_model_count_as_they_would_have_before(
    recommender: TwoTowerRecommender, task: RankingTask
) -> None:
    years = 1_000 * DAY
    fresh = replace(task.histories, times=task.histories.times + years)
    now = recommender.as_of(recommender.moment + years)
    np.testing.assert_allclose(now.scores(fresh), recommender.scores(task.histories), rtol=1e-4, atol=1e-4)
    assert recommender.as_of(recommender.moment - 1) is recommender


def test_nobody_wants_the_same_again() -> None:
    log = log_of({"a": [(0, 0), (1, 9)], "b": [(1, 0), (2, 9)]})
    assert fit_repeat_model(RepeatData(log, 3, ItemToItemRecipe("set", 2))) is None
