"""Trains a candidate with two processes from the command line, as on a machine with two GPUs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline_tasks.candidates.candidate_training import train
from pipeline_tasks.config.settings import REPOSITORY, Settings
from pipeline_tasks.config.training_settings import TrainingSettings
from pipeline_tasks.data.run_data import read_run_data
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.local_runtime.gpu_count import TORCHRUN, TORCHRUN_ENVIRONMENT
from pipeline_tasks.models.two_tower.saved_recommender import load_recommender
from pipeline_tasks.registry.candidate_files import Candidate, candidate_path
from pipeline_tasks.registry.tracking import start_parent_run
from pipeline_tasks.training import fit_two_tower
from pipeline_tasks.training.task_predictions import predict
from tests.pipeline_tasks.tiny_shop import RUN_KEY, ratings_of, write_events, write_tiny_shop

pytestmark = pytest.mark.training

# Dropout is drawn in each process by itself.
TRAINING = TrainingSettings(
    dimension=16, max_length=20, dropout=0.0, threads=1, processes=2, task_weights={"rating": 0.3}
)
START = (sys.executable, *TORCHRUN, "--nproc-per-node=2")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return a run that is ready for its candidates, and the environment with its folder."""
    settings = Settings(home=tmp_path, mlflow_tracking_uri=f"sqlite:///{tmp_path}/mlflow.db", training=TRAINING)
    lake = Lake.open(settings, RUN_KEY.source)
    write_tiny_shop(lake)
    write_events(lake, [row for one in lake.read("sequences").to_pylist() for row in ratings_of(one)])
    monkeypatch.setenv("NIGHTSHELF_HOME", str(tmp_path))
    monkeypatch.setenv("NIGHTSHELF_MLFLOW_TRACKING_URI", str(settings.mlflow_tracking_uri))
    for name in ("dimension", "max_length", "dropout", "threads"):
        monkeypatch.setenv(f"NIGHTSHELF_TRAINING__{name.upper()}", str(getattr(TRAINING, name)))
    monkeypatch.setenv("NIGHTSHELF_TRAINING__TASK_WEIGHTS", json.dumps(TRAINING.task_weights))
    return settings


def train_in_two(settings: Settings) -> Candidate:
    arguments = ["--source", RUN_KEY.source, "--date", RUN_KEY.ds.isoformat()]
    options = ["--candidate", "frozen", "--epochs", "2", "--parent-run-id", start_parent_run(settings, RUN_KEY)]
    script = ["-m", "tests.pipeline_tasks.training.joined_candidate"]
    subprocess.run(
        [*START, *script, *arguments, *options],
        cwd=REPOSITORY,
        env=os.environ | TORCHRUN_ENVIRONMENT,
        check=True,
        timeout=300,
    )
    return Candidate.model_validate_json(candidate_path(settings, RUN_KEY, "frozen").read_text())


def test_two_processes_train_the_candidate_of_one(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_two_tower, "has_bfloat16", lambda device: False)
    joined = train_in_two(settings)
    data = read_run_data(Lake.open(settings, RUN_KEY.source), RUN_KEY)
    options = TRAINING.model_copy(update={"epochs": 2})
    alone = train(data, "frozen", options, tmp_path / "alone", lambda metrics, step: None)
    assert joined.best_epoch == alone.best_epoch
    assert joined.validation == pytest.approx(alone.validation.overall, abs=0.01)
    ours, theirs = load_recommender(joined.folder).recommender, alone.saved.recommender
    torch.testing.assert_close(ours.item_table(), theirs.item_table(), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(ours.scores(data.log), theirs.scores(data.log), rtol=1e-3, atol=1e-3)
    items, ratings = np.arange(len(data.log)) % len(data.catalog), data.ratings.binary_labels(4.0)
    liked, alone_liked = (predict(one, "rating", data.log, None, items, ratings) for one in (ours, theirs))
    assert liked.std() > 0.01
    np.testing.assert_allclose(liked, alone_liked, rtol=1e-3, atol=1e-3)
