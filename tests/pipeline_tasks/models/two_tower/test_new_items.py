from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
import torch

from pipeline_tasks.config.training_settings import TrainingSettings
from pipeline_tasks.data.interactions import Floats
from pipeline_tasks.data.item_catalog import make_catalog
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.evaluation.full_ranking import evaluate
from pipeline_tasks.evaluation.ranking_task import RankingTask, build_task
from pipeline_tasks.models.two_tower import item_side
from pipeline_tasks.models.two_tower.item_side import fill_cold_start_embeddings
from pipeline_tasks.models.two_tower.matching import MATCHINGS
from pipeline_tasks.models.two_tower.new_items import choose_cold_start_boost
from pipeline_tasks.models.two_tower.tuned_weights import UNTUNED
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.topk.arrays import TopK
from pipeline_tasks.topk.top_k import top_k
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from tests.benchmarks.withheld_items import withhold_items
from tests.pipeline_tasks.logs import log_of, random_log

pytestmark = pytest.mark.training

ITEMS = 60
# Items that follow one another in histories are neighbors on a circle, so their content predicts the next item.
ANGLES = np.arange(ITEMS) / ITEMS * 2 * np.pi
TEXTS = np.stack([f(k * ANGLES) for k in (1, 2, 3) for f in (np.sin, np.cos)], axis=1).astype(np.float32)
OPTIONS = FitOptions(epochs=8, dimension=16, text_dimension=8, max_length=20, linear_rank=8, learning_rate=1e-2)
CATALOG = make_catalog([{"item_id": f"i{n:02d}"} for n in range(ITEMS)], [])


def run_data(log_seed: int = 4) -> RunData:
    split = {"split_id": "s", "strategy": "leave_one_out"}
    return RunData(RunKey("shop", date(2026, 11, 20)), CATALOG, random_log(300, ITEMS, seed=log_seed), {}, split)


@pytest.fixture(scope="module")
def withheld() -> tuple[TwoTowerRecommender, RankingTask, RankingTask]:
    data, items = withhold_items(run_data(), seed=1, share=0.1)
    assert len(items) == 6
    fitted = TwoTowerTrainer(data.parts.known_before("validation"), TEXTS, OPTIONS).fit()
    assert (fitted.rows[torch.from_numpy(items)] == -1).all()
    validation = build_task(data.parts, "validation", "discovery", ITEMS)
    return fitted, validation, build_task(data.parts, "test", "discovery", ITEMS)


def test_withheld_items_are_only_in_the_test_part() -> None:
    whole = run_data()
    data, items = withhold_items(whole, seed=1, share=0.1)
    before, requested = data.parts.known_before("test"), data.parts.future("test")
    assert not np.isin(before.items, items).any()
    wanted = whole.parts.future("test")
    assert np.isin(requested.items, items).sum() > 0.8 * np.isin(wanted.items, items).sum()
    again, other = withhold_items(whole, seed=1, share=0.1)[1], withhold_items(whole, seed=2, share=0.1)[1]
    assert items.tolist() == again.tolist() != other.tolist()


def test_a_history_too_short_to_predict_from_is_emptied() -> None:
    log = log_of({"a": [(0, 1), (1, 2), (1, 3), (2, 4)], "b": [(2, 1), (3, 2), (4, 3), (5, 4)]})
    data, items = withhold_items(replace(run_data(), log=log), seed=1, share=1.0)
    assert len(items) == ITEMS
    assert data.log.lengths.tolist() == [0, 0], "only test events were left, and would have been trained on"


def test_an_item_without_an_id_embedding_gets_that_of_its_nearest() -> None:
    content = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.98, 0.02], [0.0, 0.0]])
    ids = torch.tensor([[5.0, 5.0], [-5.0, 0.0]])
    borrowed = fill_cold_start_embeddings(content, ids, torch.tensor([1, 0, -1, -1]))
    torch.testing.assert_close(borrowed[2], ids[1], atol=0.01, rtol=0)
    assert not borrowed[[0, 1, 3]].any(), "known items have their own, and an item without content has no neighbor"
    assert not fill_cold_start_embeddings(content, ids[:0], torch.full((4,), -1)).any()


def test_items_of_equal_content_get_equal_embeddings(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    contents = torch.from_numpy(rng.standard_normal((5, 4)).astype(np.float32))
    content, ids = torch.cat([contents, contents[[3, 1, 3]], contents[[1]]]), torch.arange(20.0).view(5, 4)
    rows = torch.tensor([0, 1, 2, 3, 4, -1, -1, -1, -1])
    requested: list[int] = []

    def counted(users: Floats, *given: Any, **more: Any) -> TopK:  # noqa: ANN401
        requested.append(len(users))
        return top_k(users, *given, **more)

    monkeypatch.setattr(item_side, "top_k", counted)
    borrowed = fill_cold_start_embeddings(content, ids, rows)
    assert requested == [2], "two contents of four items"
    cosines = torch.nn.functional.cosine_similarity(contents[[3, 1], None], contents[None], dim=2)
    expected = (cosines / item_side.TEMPERATURE).softmax(dim=1) @ ids
    torch.testing.assert_close(borrowed[5:], expected[[0, 1, 0, 1]], atol=1e-4, rtol=1e-4)


def test_new_items_are_found_at_a_bounded_cost(
    withheld: tuple[TwoTowerRecommender, RankingTask, RankingTask],
) -> None:
    fitted, validation, test = withheld
    alone = evaluate(fitted, test).overall
    boosted = choose_cold_start_boost(fitted, validation, TrainingSettings(new_item_cost=0.02))
    chosen = evaluate(boosted, test).overall
    assert chosen["cold_recall@10"] > alone["cold_recall@10"] + 0.1
    assert chosen["ndcg@10"] > 0.95 * alone["ndcg@10"]
    costly = choose_cold_start_boost(fitted, validation, TrainingSettings(new_item_cost=0.3))
    assert costly.tuned.cold_start_boost > boosted.tuned.cold_start_boost, "who may cost more comes higher"
    assert fitted.tuned == UNTUNED, "a choice changes nothing of what it was given"


@pytest.mark.parametrize("matching", MATCHINGS)
def test_the_level_counts_in_spreads_of_the_scores_that_rank(matching: str) -> None:
    data, _ = withhold_items(run_data(), seed=1, share=0.1)
    brief = replace(OPTIONS, epochs=1, matching=matching)
    fitted = TwoTowerTrainer(data.parts.known_before("validation"), TEXTS, brief).fit()
    task = build_task(data.parts, "validation", "discovery", ITEMS)
    unboosted = choose_cold_start_boost(fitted, task, TrainingSettings(cold_bias=0.0))
    spread = float(unboosted.scores(task.histories).std(axis=1).mean())
    boosted = choose_cold_start_boost(fitted, task, TrainingSettings(cold_bias=1.0))
    assert boosted.tuned.cold_start_boost == pytest.approx(spread, rel=1e-4)


def test_the_bias_can_be_set_and_moves_new_items_alone(
    withheld: tuple[TwoTowerRecommender, RankingTask, RankingTask],
) -> None:
    fitted, validation, test = withheld
    new = (fitted.rows < 0).numpy()
    without, boosted = (
        choose_cold_start_boost(fitted, validation, TrainingSettings(cold_bias=bias)) for bias in (0.0, 1.5)
    )
    boost = boosted.tuned.cold_start_boost
    assert boost > 0
    added = boosted.scores(test.histories) - without.scores(test.histories)
    np.testing.assert_allclose(added[:, ~new], 0, atol=1e-5)
    np.testing.assert_allclose(added[:, new], boost, atol=1e-4, rtol=1e-4)
