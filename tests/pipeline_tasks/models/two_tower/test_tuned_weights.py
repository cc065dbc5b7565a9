"""Tuned weights are saved beside the model; folders of earlier versions hold them in the model's config."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline_tasks.data.item_catalog import make_catalog
from pipeline_tasks.encoders.text_encoder import PACKAGED_ENCODER
from pipeline_tasks.models.two_tower.item_content import ContentEncoders, ItemVocabulary
from pipeline_tasks.models.two_tower.saved_recommender import SavedRecommender, load_recommender
from pipeline_tasks.models.two_tower.tuned_weights import FORMER_CONFIG_KEYS, UNTUNED, TunedWeights
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from tests.pipeline_tasks.logs import random_log

ITEMS = 20
LOG = random_log(40, ITEMS, seed=4)
TEXTS = np.random.default_rng(9).standard_normal((ITEMS, 12)).astype(np.float32)
OPTIONS = FitOptions(epochs=1, dimension=16, text_dimension=8, max_length=20, linear_rank=8)
FORMER = {
    "linear_weight": 0.7,
    "trend_shift": [0.1, 0.2, 0.3, 0.4],
    "borrowed_ids": True,
    "new_item_level": 1.5,
    "newcomer_trends": [0.4, 0.3, 0.2, 0.1],
    "newcomer_share": 0.5,
    "newcomer_level": 0.25,
}
"""Keys and values of a config.json of version 0.2.0."""
TUNED = TunedWeights(0.7, (0.1, 0.2, 0.3, 0.4), True, 1.5, (0.4, 0.3, 0.2, 0.1), 0.5, 0.25)


@pytest.fixture(scope="module")
def recommender() -> TwoTowerRecommender:
    fitted = TwoTowerTrainer(LOG, TEXTS, OPTIONS).fit()
    assert len(fitted.model.config.horizons) == 4
    return fitted.with_weights(**vars(TUNED))


@pytest.fixture
def folder(recommender: TwoTowerRecommender, tmp_path: Path) -> Path:
    catalog = make_catalog([{"item_id": f"i{n:02d}", "title": f"thing {n}"} for n in range(ITEMS)], [])
    facts = {"options": {"content_blocks": [TEXTS.shape[1]]}}
    encoders = ContentEncoders(PACKAGED_ENCODER, None, ItemVocabulary([]))
    SavedRecommender(recommender, catalog, TEXTS, encoders, facts).save(tmp_path / "saved")
    return tmp_path / "saved"


def test_tuned_weights_are_read_back(folder: Path) -> None:
    assert load_recommender(folder).recommender.tuned == TUNED
    assert not FORMER.keys() & json.loads((folder / "two_tower" / "config.json").read_text()).keys()


def test_a_folder_of_an_earlier_version_has_them_in_the_config(folder: Path, recommender: TwoTowerRecommender) -> None:
    _move_to_config(folder, FORMER)
    read = load_recommender(folder)
    assert read.recommender.tuned == TUNED
    np.testing.assert_allclose(read.recommender.scores(LOG), recommender.scores(LOG), atol=1e-5)
    assert not any(hasattr(read.recommender.model.config, key) for key in FORMER)
    read.save(folder.with_name("again"))
    assert load_recommender(folder.with_name("again")).recommender.tuned == TUNED


def test_a_key_that_an_earlier_version_left_out_has_its_default(folder: Path) -> None:
    _move_to_config(folder, {})
    assert load_recommender(folder).recommender.tuned == UNTUNED


def test_every_weight_has_a_former_key() -> None:
    assert set(FORMER_CONFIG_KEYS) == set(FORMER)
    assert set(FORMER_CONFIG_KEYS.values()) == set(vars(UNTUNED))


def _move_to_config(folder: Path, former: dict[str, object]) -> None:
    """Rewrite the folder as an earlier version wrote it."""
    about = json.loads((folder / "recommender.json").read_text())
    del about["tuned_weights"]
    (folder / "recommender.json").write_text(json.dumps(about))
    path = folder / "two_tower" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | former))
