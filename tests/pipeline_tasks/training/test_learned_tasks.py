"""Trains a model with all task heads (purchase, click, rating) beside the next item, from the lake to the metrics."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from pipeline_tasks.candidates.candidate_training import CHECKPOINT, refit, train
from pipeline_tasks.candidates.stage_two import task_labels
from pipeline_tasks.config.settings import Settings
from pipeline_tasks.config.training_settings import TrainingSettings
from pipeline_tasks.data.run_data import RunData, read_run_data
from pipeline_tasks.data.split_parts import microseconds
from pipeline_tasks.errors import TrainingError
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.models.two_tower.saved_recommender import load_recommender
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.task_predictions import predict
from pipeline_tasks.training.training_checkpoint import digest
from tests.pipeline_tasks.tiny_shop import RUN_KEY, at, ratings_of, write_events, write_tiny_shop

pytestmark = pytest.mark.training

TRAINING = TrainingSettings(
    epochs=1,
    dimension=16,
    threads=1,
    task_weights={"purchase_intent": 0.5, "click": 0.5, "rating": 0.5},
    event_weights={"view": 0.1},
)
MINUTE = 60_000_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    lake = Lake.open(Settings(home=tmp_path_factory.mktemp("tasks")), RUN_KEY.source)
    write_tiny_shop(lake)
    sequences = lake.read("sequences").to_pylist()
    write_events(lake, [row for one in sequences for row in [*_impressions(one), *ratings_of(one)]])
    return read_run_data(lake, RUN_KEY)


def _impressions(sequence: dict[str, Any]) -> list[dict[str, Any]]:
    """Each viewed item was shown a minute before, beside an item that was not viewed; an unknown user saw one, too."""
    who = {"user_key": sequence["user_key"]} if sequence["user_key"] else {"session_id": "s1"}
    looks = zip(sequence["item_ids"], sequence["event_types"], sequence["timestamps"], strict=True)
    shown = [
        who | {"item_id": name, "event_type": "impression"} | at(time - MINUTE)
        for item, kind, time in looks
        if kind == "view"
        for name in (item, "i060")
    ]
    stranger = {"user_key": "stranger", "item_id": "i001", "event_type": "impression"}
    return [*shown, stranger | at(sequence["timestamps"][-1])]


def test_impressions_are_read_for_those_with_a_history(data: RunData) -> None:
    # One was shown a minute before the window.
    first = microseconds(datetime.combine(data.split["window_start"], datetime.min.time(), UTC))
    views = (data.log.types == 0) & (data.log.times - MINUTE >= first)
    assert len(data.impressions.times) == 2 * views.sum() > 1_000
    anonymous = data.log.keys.index("session:s1")
    own = np.flatnonzero((data.log.rows == anonymous) & (data.log.types == 0))
    found = data.impressions.rows == anonymous
    np.testing.assert_array_equal(np.unique(data.impressions.times[found]), data.log.times[own] - MINUTE)


def test_heads_are_trained_measured_refitted_and_kept(data: RunData, tmp_path: Path) -> None:
    heard: dict[str, float] = {}
    trained = train(data, "frozen", TRAINING, tmp_path, lambda metrics, step: heard.update(metrics))
    train_end = data.parts.known_before("validation").data_extent.last_timestamp
    assert trained.saved.facts["options"]["liked_rating"] == data.ratings.choose_liked_threshold(train_end)
    for task in ("purchase_intent", "click", "rating"):
        assert 0 <= heard[f"validation_{task}_auc"] <= 1
        assert heard[f"validation_{task}_log_loss"] > 0
        assert heard[f"validation_{task}_base_log_loss"] > 0
    again = refit(data, trained.saved, TRAINING)
    again.save(tmp_path / "saved")
    known = data.parts.known_before("test")
    asked = np.full(len(known), known.data_extent.last_timestamp)
    ours, theirs = (
        predict(one.recommender, "purchase_intent", known, asked)
        for one in (again, load_recommender(tmp_path / "saved"))
    )
    np.testing.assert_array_equal(ours, theirs)
    assert again.recommender.data_extent.last_timestamp <= known.data_extent.last_timestamp


def test_ratings_are_read_and_predicted_at_their_own_times(data: RunData) -> None:
    labels = task_labels(data, FitOptions(task_weights={"next_item": 1.0, "rating": 1.0}, liked_rating=5.0))
    assert labels.impressions is None, "nothing is read that no head uses"
    ratings = labels.ratings
    assert ratings is not None
    assert np.isin(ratings.times, data.log.times).all()
    assert 0.3 < ratings.liked.mean() < 0.36
    assert task_labels(data, FitOptions(liked_rating=5.0)).ratings is None


def test_the_liked_threshold_is_part_of_the_training_fingerprint(data: RunData, tmp_path: Path) -> None:
    settings = TRAINING.model_copy(update={"liked_rating": 5.0})
    trained = train(data, "frozen", settings, tmp_path, lambda metrics, step: None)
    assert trained.saved.facts["options"]["liked_rating"] == 5.0
    asked = task_labels(data, FitOptions(**trained.saved.facts["options"]))
    with safe_open(tmp_path / CHECKPOINT, framework="pt") as file:
        assert digest(asked.arrays) in file.metadata()["nightshelf"], "else a checkpoint of other answers would be used"


def test_a_lake_without_impressions_and_ratings_has_none(data: RunData, tmp_path: Path) -> None:
    bare = replace(data, lake=None)
    assert not len(bare.impressions.times)
    assert not len(bare.ratings.times)
    settings = TrainingSettings(epochs=1, dimension=16, threads=1, task_weights={"rating": 0.5})
    with pytest.raises(TrainingError, match="has rating, but no event of the window has one"):
        train(bare, "frozen", settings, tmp_path, lambda metrics, step: None)
