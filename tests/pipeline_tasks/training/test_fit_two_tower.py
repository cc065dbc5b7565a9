from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline_tasks.data.interactions import Floats, Interactions
from pipeline_tasks.data.split_parts import split_parts
from pipeline_tasks.errors import TrainingError
from pipeline_tasks.evaluation.baselines import popularity
from pipeline_tasks.evaluation.full_ranking import evaluate
from pipeline_tasks.evaluation.ranking_task import build_task
from pipeline_tasks.models.two_tower.two_tower import TwoTower
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from pipeline_tasks.training.tune_weights import tune_blend_weight
from tests.pipeline_tasks.logs import log_of, random_log

pytestmark = pytest.mark.training

ITEMS = 40
TEXTS = np.random.default_rng(9).standard_normal((ITEMS + 1, 12)).astype(np.float32)
OPTIONS = FitOptions(epochs=4, dimension=16, text_dimension=8, max_length=20, linear_rank=8, learning_rate=1e-2)
LOG = random_log(200, ITEMS, seed=4)


def fitted(log: Interactions = LOG, options: FitOptions = OPTIONS, texts: Floats = TEXTS) -> TwoTowerRecommender:
    return TwoTowerTrainer(log, texts, options).fit()


@pytest.fixture(scope="module")
def recommender() -> TwoTowerRecommender:
    return fitted()


def test_equal_seeds_give_equal_models(recommender: TwoTowerRecommender) -> None:
    again, other = fitted().model.state_dict(), fitted(options=replace(OPTIONS, seed=2)).model.state_dict()
    for name, weights in recommender.model.state_dict().items():
        assert torch.equal(again[name], weights), name
    assert not torch.equal(other["text_projection.weight"], again["text_projection.weight"])


def test_the_towers_learn_the_order_of_items() -> None:
    parts = split_parts(LOG, {"strategy": "per_user"})
    task = build_task(parts, "test", "discovery", ITEMS + 1)
    ours = evaluate(fitted(task.known), task).overall["ndcg@10"]
    popular = evaluate(popularity(task.known, ITEMS + 1), task).overall["ndcg@10"]
    assert ours > 1.5 * popular


def test_a_score_is_one_dot_product_of_what_is_saved(recommender: TwoTowerRecommender, tmp_path: Path) -> None:
    recommender = recommender.with_weights(item_to_item=0.7)
    recommender.model.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").exists()
    again = replace(recommender, model=TwoTower.from_pretrained(tmp_path))
    histories = LOG.select(np.arange(5))
    np.testing.assert_array_equal(again.scores(histories), recommender.scores(histories))
    by_hand = np.stack([user @ recommender.item_matrix().T for user in again.user_matrix(histories)])
    np.testing.assert_allclose(again.scores(histories), by_hand, rtol=1e-4, atol=1e-4)


def test_other_users_and_the_batch_do_not_change_a_user(recommender: TwoTowerRecommender) -> None:
    alone = recommender.user_matrix(LOG.select(np.array([3])))
    among = recommender.user_matrix(LOG.select(np.arange(50)))[3:4]
    np.testing.assert_allclose(alone, among, atol=1e-5)


def test_a_later_event_changes_no_earlier_state(recommender: TwoTowerRecommender) -> None:
    model = recommender.model.train(False)
    vectors = torch.randn(1, 6, 16, generator=torch.Generator().manual_seed(1))
    zeros = torch.zeros(1, 6, dtype=torch.long)
    changed = vectors.clone()
    changed[:, 4, 0] += 3
    before, after = model(vectors, zeros, zeros), model(changed, zeros, zeros)
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


def test_new_items_and_new_users_are_scored(recommender: TwoTowerRecommender) -> None:
    assert recommender.rows[ITEMS] == -1
    assert recommender.item_matrix()[ITEMS, :16].any()
    new_user = log_of({"new": []})
    assert np.isfinite(recommender.scores(new_user)).all()
    np.testing.assert_allclose(recommender.user_matrix(new_user)[0, :16], 0)


def test_the_linear_part_is_chosen_on_validation() -> None:
    parts = split_parts(LOG, {"strategy": "per_user"})
    task = build_task(parts, "validation", "discovery", ITEMS + 1)
    ours = fitted(task.known, replace(OPTIONS, epochs=1))
    alone = evaluate(ours, task).overall["ndcg@10"]
    tuned, chosen = tune_blend_weight(ours, task)
    assert chosen >= alone
    assert evaluate(tuned, task).overall["ndcg@10"] == pytest.approx(chosen, abs=0.005)


def test_losses_that_are_no_numbers_stop_the_training() -> None:
    texts = TEXTS.copy()
    texts[0] = np.nan
    with pytest.raises(TrainingError, match="text vectors of 1 items are not finite"):
        fitted(texts=texts)
    trainer = TwoTowerTrainer(LOG, TEXTS, OPTIONS)
    trainer.model.positions.weight.data[0] = float("nan")
    with pytest.raises(TrainingError, match=r"loss is nan, .* in epoch 1, batch"):
        trainer.fit()


def test_a_log_without_training_examples_is_an_error() -> None:
    with pytest.raises(TrainingError, match="no history of two events or more"):
        fitted(log_of({"a": [(1, 1)], "b": [(2, 1)]}))


@pytest.mark.parametrize("items", [1, 2, 3])
def test_a_catalog_of_few_items_trains(items: int) -> None:
    log = log_of({"a": [(0, day) for day in range(5)], "b": [(items - 1, 1), (0, 2)]})
    ours = fitted(log, replace(OPTIONS, repeat_weight=1.0), TEXTS[:items])
    assert ours.scores(log).shape == (2, items)
