"""Trains candidates on unusual catalogs and histories."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline_tasks.candidates.candidate_training import train
from pipeline_tasks.config.training_settings import CandidateName, TrainingSettings
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.errors import TrainingError
from pipeline_tasks.training import training_choices
from tests.pipeline_tasks.logs import log_of, random_log
from tests.pipeline_tasks.run_fixtures import leave_last_out_run

pytestmark = pytest.mark.training

TRAINING = TrainingSettings(epochs=1, dimension=16, max_length=20, encoder_steps=2, threads=1)
TITLES = {
    "all equal": ["mug"] * 30,
    "emoji and right to left": [
        "☕️ 🫖",
        "كوب شاي أزرق",
        "ספל תה 🫖",
        "\u202emug\u202c",
        "\u0000\ud7ff",
        "\U0001f469\u200d\U0001f467" * 3,
    ]
    * 5,
    "longer than the encoder takes": [f"mug {n} " + "blue and round " * 2_000 for n in range(6)] * 5,
    "no title at all": [""] * 30,
}


def trained_scores(data: RunData, candidate: CandidateName, folder: Path) -> np.ndarray:
    trained = train(data, candidate, TRAINING, folder, lambda metrics, step: None)
    return trained.saved.recommender.scores(data.parts.known_before("test"))


@pytest.mark.parametrize("candidate", ["frozen", "lora"])
@pytest.mark.parametrize("titles", TITLES.values(), ids=TITLES.keys())
def test_titles_of_any_kind_train(titles: list[str], candidate: CandidateName, tmp_path: Path) -> None:
    log = random_log(40, len(titles), seed=3)
    scores = trained_scores(leave_last_out_run(titles, log), candidate, tmp_path)
    assert np.isfinite(scores).all()
    assert len(np.unique(scores[0])) > 1, "events distinguish items of equal titles"


@pytest.mark.parametrize("candidate", ["frozen", "lora"])
def test_a_catalog_of_one_item_is_refused_before_any_training(candidate: CandidateName, tmp_path: Path) -> None:
    log = log_of({f"u{n}": [(0, day) for day in range(4)] for n in range(5)})
    with pytest.raises(TrainingError, match=r"in the validation part of shop .* \(items in the catalog: 1\): widen"):
        trained_scores(leave_last_out_run(["mug"], log), candidate, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_log_of_only_anonymous_sessions_is_evaluated_on_them(tmp_path: Path) -> None:
    log = random_log(40, 30, seed=3)
    users = leave_last_out_run(["mug"] * 30, log)
    sessions = replace(users, log=replace(log, known=np.zeros(len(log), np.bool_)))
    by_shoppers, by_sessions = (
        trained_scores(data, "frozen", tmp_path / name) for name, data in (("known", users), ("unknown", sessions))
    )
    np.testing.assert_allclose(by_sessions, by_shoppers, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("candidate", ["frozen", "lora"])
def test_a_catalog_of_three_items_trains(candidate: CandidateName, tmp_path: Path) -> None:
    log = log_of({f"u{n}": [(0, 1), (1, 2), (2, 3), (n % 2, 4)] for n in range(6)})
    scores = trained_scores(leave_last_out_run(["mug", "cup", "pan"], log), candidate, tmp_path)
    assert scores.shape == (6, 3)
    assert np.isfinite(scores).all()


def test_a_catalog_that_lists_more_than_was_ever_wanted_counts_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_choices, "WHOLE_CATALOG", 20)
    data = leave_last_out_run([f"mug {n}" for n in range(30)], random_log(40, 10, seed=3))
    trained = train(data, "frozen", TRAINING, tmp_path, lambda metrics, step: None)
    assert trained.saved.facts["options"]["negatives"] == 8_192


def test_users_of_one_event_are_scored_too(tmp_path: Path) -> None:
    once = {f"once{n}": [(n % 30, 1)] for n in range(20)}
    often = {f"often{n}": [((n + day) % 30, day) for day in range(6)] for n in range(20)}
    titles = [f"mug {n}" for n in range(30)]
    data = leave_last_out_run(titles, log_of(once | often))
    trained = train(data, "frozen", TRAINING, tmp_path, lambda metrics, step: None)
    scores = trained.saved.recommender.scores(data.log)
    assert np.isfinite(scores).all()
    assert np.abs(scores[0] - scores[1]).max() > 0, "one event is a history too"
