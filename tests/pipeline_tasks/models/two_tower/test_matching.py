from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_tasks.config.training_settings import TrainingSettings
from pipeline_tasks.data.split_parts import split_parts
from pipeline_tasks.evaluation.baselines import popularity
from pipeline_tasks.evaluation.full_ranking import evaluate
from pipeline_tasks.evaluation.ranking_task import build_task
from pipeline_tasks.models.two_tower.matching import MATCHINGS, build_matching
from pipeline_tasks.models.two_tower.two_tower import TwoTower
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.recommend.excluded_items import OPT_OUTS, Excluded
from pipeline_tasks.recommend.offered_items import open_offered_items
from pipeline_tasks.recommend.prepare_offered_items import prepare_offered_items
from pipeline_tasks.registry.embed_items import write_vectors
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from pipeline_tasks.training.training_choices import choose_options
from pipeline_tasks.training.tune_weights import tune_blend_weight
from tests.pipeline_tasks.logs import log_of, random_log

pytestmark = pytest.mark.training

ITEMS = 40
TEXTS = np.random.default_rng(9).standard_normal((ITEMS + 1, 12)).astype(np.float32)
OPTIONS = FitOptions(epochs=4, dimension=16, text_dimension=8, max_length=20, linear_rank=8, learning_rate=1e-2)
LOG = random_log(200, ITEMS, seed=4)
TASK = build_task(split_parts(LOG, {"strategy": "per_user"}), "test", "discovery", ITEMS + 1)


@pytest.fixture(scope="module", params=list(MATCHINGS))
def recommender(request: pytest.FixtureRequest) -> TwoTowerRecommender:
    """One fitted without looking at the test part."""
    return TwoTowerTrainer(TASK.known, TEXTS, replace(OPTIONS, matching=request.param)).fit()


def test_each_matching_learns_the_order_of_items(recommender: TwoTowerRecommender) -> None:
    by_popularity = evaluate(popularity(TASK.known, ITEMS + 1), TASK).overall["ndcg@10"]
    assert evaluate(recommender, TASK).overall["ndcg@10"] > 1.5 * by_popularity
    assert tune_blend_weight(recommender, TASK)[1] > 1.5 * by_popularity


def test_each_is_saved_and_loaded(recommender: TwoTowerRecommender, tmp_path: Path) -> None:
    recommender.model.save_pretrained(tmp_path)
    again = replace(recommender, model=TwoTower.from_pretrained(tmp_path))
    assert again.model.config.matching == recommender.model.config.matching
    np.testing.assert_array_equal(again.scores(LOG), recommender.scores(LOG))


def test_the_towers_score_is_the_formula(recommender: TwoTowerRecommender) -> None:
    """Up to what is the same for all items of a user, which no order shows."""
    matching, width = recommender.model.matching, recommender.model.config.dimension
    states = recommender.states(LOG)[:9, :width].astype(np.float64)
    vectors = recommender.item_table().detach().double().numpy()
    weights = {name: value.detach().double().numpy() for name, value in matching.named_parameters()}
    folded = matching.width
    users, items = recommender.user_matrix(LOG)[:9, :folded], recommender.item_matrix()[:, :folded]
    found = recommender.pair_scores.all(users, items)
    distances = np.linalg.norm(states[:, None] - vectors[None], axis=2)
    if recommender.model.config.matching == "inverse_distance":
        np.testing.assert_array_equal((-found).argsort(axis=1), (-1 / (1 + distances)).argsort(axis=1))
        expected = -(distances**2) + (states**2).sum(axis=1, keepdims=True)
    elif recommender.model.config.matching == "additive":
        hidden = (states @ weights["user_part.weight"].T + weights["user_part.bias"])[:, None]
        expected = np.tanh(hidden + vectors @ weights["item_part.weight"].T) @ weights["weights"]
    else:
        expected = (states * weights.get("weights", 1.0)) @ vectors.T
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_a_user_without_a_history_gets_popularity_scores(recommender: TwoTowerRecommender) -> None:
    new_user = recommender.scores(log_of({"new": []}))[0]
    popularity = (
        recommender.trends @ recommender.user_matrix(log_of({"new": []}))[0][recommender.model.matching.width :][:-9]
    )
    np.testing.assert_allclose(new_user - new_user[0], popularity - popularity[0], atol=1e-4)


def test_the_published_order_is_that_of_the_model(recommender: TwoTowerRecommender, tmp_path: Path) -> None:
    recommender = recommender.with_weights(item_to_item=0.7)
    item_ids = [f"i{number:02d}" for number in range(ITEMS + 1)]
    write_vectors(tmp_path / "vectors", recommender, LOG, item_ids, {"model_version": "m/1"})
    day = date(2026, 11, 20)
    columns = {name: [None] * len(item_ids) for name in ("title", "category", "brand")}
    catalog = pa.table(
        {"item_id": item_ids, **columns, "first_seen": [day] * len(item_ids), "ds": [day] * len(item_ids)}
    )
    nothing = Excluded({}, OPT_OUTS.empty_table())
    folder, lost = prepare_offered_items(tmp_path / "vectors", catalog, nothing, set())
    offered = open_offered_items(folder)
    users = pq.read_table(tmp_path / "vectors" / "users")["vector"].combine_chunks()
    vectors = users.flatten().to_numpy().reshape(len(LOG), -1)
    best = offered.scoring.best(vectors, offered.vectors, 5, None, 64)
    scores = recommender.scores(LOG)
    np.testing.assert_allclose(best.scores, np.sort(scores, axis=1)[:, ::-1][:, :5].ravel(), rtol=1e-4, atol=1e-3)
    assert lost == 0
    visitors = log_of({f"v{item:02d}": [(item, 0)] for item in range(len(item_ids))})
    visitors = replace(visitors, times=visitors.times + recommender.moment - 1)
    beside = offered.scoring.all(np.asarray(offered.visitors), np.asarray(offered.vectors))
    np.testing.assert_allclose(beside, recommender.scores(visitors), rtol=1e-4, atol=1e-3)
    # The items' content without the matching: so many numbers, at length 1.
    assert offered.content.shape[1] == min(16, recommender.model.matching.width)
    np.testing.assert_allclose(np.linalg.norm(offered.content, axis=1), 1, atol=1e-5)


def test_the_matching_is_a_setting() -> None:
    assert choose_options(LOG, "temporal", TrainingSettings(matching="additive"), ITEMS).matching == "additive"
    with pytest.raises(ValueError, match="matching"):
        TrainingSettings.model_validate({"matching": "cosine"})
    with pytest.raises(ValueError, match="matching 'cosine' is unknown: choose among dot, weighted_dot"):
        build_matching("cosine", 8)
