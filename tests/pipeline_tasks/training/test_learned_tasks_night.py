"""A night whose model learns, beside the next item, whether shoppers buy and click: from the lake to its figures."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline_tasks.behavior.night_data import NightData, read_night
from pipeline_tasks.behavior.split_parts import microseconds
from pipeline_tasks.candidates.candidate_training import refit, train
from pipeline_tasks.contracts import TABLES
from pipeline_tasks.model.saved_recommender import load_recommender
from pipeline_tasks.settings import Settings, TrainingSettings
from pipeline_tasks.storage.lake import Lake
from pipeline_tasks.tables.schemas import arrow_schema
from pipeline_tasks.training.task_predictions import predict
from tests.pipeline_tasks.tiny_shop import NIGHT, write_tiny_shop

TRAINING = TrainingSettings(
    epochs=1, dimension=16, threads=1, task_weights={"purchase_intent": 0.5, "click": 0.5}, event_weights={"view": 0.1}
)
MINUTE = 60_000_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> NightData:
    lake = Lake.open(Settings(home=tmp_path_factory.mktemp("tasks")), NIGHT.source)
    write_tiny_shop(lake)
    shown = [row for sequence in lake.read("sequences").to_pylist() for row in _impressions(sequence)]
    empty = dict.fromkeys(TABLES["events"].column_names)
    rows = [empty | row | {"event_id": number} for number, row in enumerate(shown)]
    table = pa.Table.from_pylist(rows, schema=arrow_schema(TABLES["events"]))
    lake.commit("events", sorted(set(table["ds"].to_pylist())), lake.write_arrow("events", table))
    return read_night(lake, NIGHT)


def _impressions(sequence: dict[str, Any]) -> list[dict[str, Any]]:
    """What was looked at was shown a minute before, and with it an item that was not; a stranger saw one, too."""
    who = {"user_key": sequence["user_key"]} if sequence["user_key"] else {"session_id": "s1"}
    looks = zip(sequence["item_ids"], sequence["event_types"], sequence["timestamps"], strict=True)
    shown = [
        who | {"item_id": name, "event_type": "impression"} | _at(time - MINUTE)
        for item, kind, time in looks
        if kind == "view"
        for name in (item, "i060")
    ]
    stranger = {"user_key": "stranger", "item_id": "i001", "event_type": "impression"}
    return [*shown, stranger | _at(sequence["timestamps"][-1])]


def _at(time: int) -> dict[str, Any]:
    moment = datetime.fromtimestamp(time / 1e6, UTC)
    return {"ts": moment, "ds": moment.date(), "arrived": moment.date()}


def test_impressions_are_read_for_those_with_a_history(data: NightData) -> None:
    # One was shown a minute before the window.
    first = microseconds(datetime.combine(data.split["window_start"], datetime.min.time(), UTC))
    views = (data.log.types == 0) & (data.log.times - MINUTE >= first)
    assert len(data.impressions.times) == 2 * views.sum() > 1_000
    anonymous = data.log.keys.index("session:s1")
    own = np.flatnonzero((data.log.rows == anonymous) & (data.log.types == 0))
    found = data.impressions.rows == anonymous
    np.testing.assert_array_equal(np.unique(data.impressions.times[found]), data.log.times[own] - MINUTE)


def test_heads_are_trained_measured_refitted_and_kept(data: NightData, tmp_path: Path) -> None:
    heard: dict[str, float] = {}
    trained = train(data, "frozen", TRAINING, tmp_path, lambda metrics, step: heard.update(metrics))
    for task in ("purchase_intent", "click"):
        assert 0 <= heard[f"validation_{task}_auc"] <= 1
        assert heard[f"validation_{task}_log_loss"] > 0
        assert heard[f"validation_{task}_base_log_loss"] > 0
    again = refit(data, trained.saved, TRAINING)
    again.save(tmp_path / "saved")
    known = data.parts.known_before("test")
    asked = np.full(len(known), known.evidence.last_timestamp)
    ours, theirs = (
        predict(one.recommender, "purchase_intent", known, asked)
        for one in (again, load_recommender(tmp_path / "saved"))
    )
    np.testing.assert_array_equal(ours, theirs)
    assert again.recommender.evidence.last_timestamp <= known.evidence.last_timestamp


def test_without_impressions_in_the_lake_there_are_none(data: NightData) -> None:
    assert not len(replace(data, lake=None).impressions.times)
