import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from pipeline_tasks.candidates.candidate_training import refit, train
from pipeline_tasks.candidates.compare_scorers import compare_scorers
from pipeline_tasks.config.training_settings import TrainingSettings
from pipeline_tasks.data.item_catalog import make_catalog
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.data.split_parts import split_parts
from pipeline_tasks.evaluation.ranking_task import build_tasks
from pipeline_tasks.evaluation.user_segments import (
    MOST_SEGMENTS,
    activity_bands,
    given_segments,
    history_bands,
    profile_segments,
)
from pipeline_tasks.registry.registry import EvaluationRule
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.times import DAY
from tests.pipeline_tasks.logs import log_of, random_log

LOG = log_of({"a": [(0, 1)], "b": [(0, 1), (1, 70)], "c": [(0, day) for day in range(64, 90)], "d": []})


def test_bands_of_history_and_activity() -> None:
    assert history_bands(LOG).tolist() == ["1", "2 to 4", "25 and more", "0 none"]
    assert activity_bands(LOG, 90 * DAY).tolist() == ["earlier", "last 30 days", "last 7 days", "never"]


def test_a_user_without_a_label_is_unknown() -> None:
    assert given_segments(["x", "y"], {"y": "gold"}).tolist() == ["unknown", "gold"]


def test_tasks_have_labels_of_their_users() -> None:
    log = log_of({"a": [(i, i) for i in range(5)], "b": [(i, i) for i in range(30)]})
    parts = split_parts(log, {"strategy": "per_user"})
    discovery, repeats = build_tasks(parts, "test", ("discovery", "repeats"), 30, None, {"tier": {"a": "gold"}})
    assert discovery.known is repeats.known
    assert discovery.segments["tier"].tolist() == ["gold", "unknown"]
    assert discovery.segments["history"].tolist() == ["2 to 4", "10 to 24"]
    assert np.array_equal(repeats.segments["activity"], ["last 30 days", "last 7 days"])


def test_profile_segments_are_values_that_enough_users_share() -> None:
    attributes: list[dict[str, Any]] = [
        {"tier": "gold" if n < 20 else "plain", "age": n, "town": f"t{n % 13}"} for n in range(280)
    ]
    attributes[0] = {"tier": ["gold", "plain"], "town": "a village of one"}
    log = log_of({f"u{n}": [(0, 1)] for n in range(281)})
    log = log.described({f"u{n}": json.dumps(own) for n, own in enumerate(attributes)})
    segments = profile_segments(log)
    assert MOST_SEGMENTS < 13
    assert segments.keys() == {"tier", "age"}, "thirteen towns are too many to compare"
    assert segments["tier"] == {f"u{n}": "tier=gold" if n < 20 else "tier=plain" for n in range(280)}
    assert segments["age"]["u1"] == "age#0"
    assert segments["age"]["u279"] == "age#7"
    assert profile_segments(log_of({"u": [(0, 1)]})) == {}


def test_the_comparison_of_a_run_has_profile_segments(tmp_path: Path) -> None:
    log = random_log(80, 30, seed=6)
    log = log.described({key: json.dumps({"tier": "gold" if n % 2 else "plain"}) for n, key in enumerate(log.keys)})
    titles = [{"item_id": f"i{n:02d}", "title": f"mug number {n}"} for n in range(30)]
    split = {"split_id": "s", "strategy": "per_user"}
    data = RunData(RunKey("shop", date(2026, 11, 20)), make_catalog(titles, []), log, {}, split)
    training = TrainingSettings(epochs=1, dimension=16, max_length=20, threads=1, profile_attributes=[])
    saved = refit(data, train(data, "frozen", training, tmp_path, lambda metrics, step: None).saved, training)
    nothing = csr_matrix((len(log), 30), dtype=np.float32)
    rule = EvaluationRule(baselines=["popularity"])
    found = compare_scorers(data, saved, None, rule, "ndcg@10", nothing).segments
    shown = found[(found["kind"] == "tier") & (found["task"] == "discovery_test")]
    assert set(zip(shown["segment"], shown["scorer"], strict=True)) == {
        (segment, scorer) for segment in ("tier=gold", "tier=plain") for scorer in ("two_tower", "popularity")
    }
    assert shown["users"].eq(40).all()
    rule = EvaluationRule(baselines=["popularity"], most_shoppers=30)
    few = compare_scorers(data, saved, None, rule, "ndcg@10", nothing)
    assert "discovery_test sampled 30 of 80 users (most_shoppers in mlflow/registry.yaml)" in few.notes
    assert few.segments.query("kind == 'tier' and task == 'discovery_test'")["users"].sum() == 2 * 30
