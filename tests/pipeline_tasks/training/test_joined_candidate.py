"""A candidate trained by two processes, from the command line to what is saved: as a machine with two GPUs does it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline_tasks.behavior.night_data import read_night
from pipeline_tasks.candidates.candidate_training import train
from pipeline_tasks.champion.candidate_files import Candidate, candidate_path
from pipeline_tasks.champion.tracking import start_night_run
from pipeline_tasks.model.saved_recommender import load_recommender
from pipeline_tasks.settings import REPOSITORY, Settings, TrainingSettings
from pipeline_tasks.storage.lake import Lake
from pipeline_tasks.training import fit_two_tower
from tests.pipeline_tasks.tiny_shop import NIGHT, write_tiny_shop

# Dropout is drawn in each process by itself.
TRAINING = TrainingSettings(dimension=16, max_length=20, dropout=0.0, threads=1, processes=2)
START = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=2")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A night that waits for its candidates, and the environment that says where it lies."""
    settings = Settings(home=tmp_path, mlflow_tracking_uri=f"sqlite:///{tmp_path}/mlflow.db", training=TRAINING)
    write_tiny_shop(Lake.open(settings, NIGHT.source))
    monkeypatch.setenv("NIGHTSHELF_HOME", str(tmp_path))
    monkeypatch.setenv("NIGHTSHELF_MLFLOW_TRACKING_URI", str(settings.mlflow_tracking_uri))
    for name in ("dimension", "max_length", "dropout", "threads"):
        monkeypatch.setenv(f"NIGHTSHELF_TRAINING__{name.upper()}", str(getattr(TRAINING, name)))
    return settings


def train_in_two(settings: Settings) -> Candidate:
    night = ["--source", NIGHT.source, "--date", NIGHT.ds.isoformat()]
    told = ["--candidate", "frozen", "--epochs", "2", "--parent-run-id", start_night_run(settings, NIGHT)]
    script = ["-m", "tests.pipeline_tasks.training.joined_candidate"]
    subprocess.run([*START, *script, *night, *told], cwd=REPOSITORY, env=dict(os.environ), check=True, timeout=300)
    return Candidate.model_validate_json(candidate_path(settings, NIGHT, "frozen").read_text())


def test_two_processes_train_the_candidate_of_one(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_two_tower, "has_bfloat16", lambda device: False)
    joined = train_in_two(settings)
    data = read_night(Lake.open(settings, NIGHT.source), NIGHT)
    told = TRAINING.model_copy(update={"epochs": 2})
    alone = train(data, "frozen", told, tmp_path / "alone", lambda metrics, step: None)
    assert joined.best_epoch == alone.best_epoch
    assert joined.validation == pytest.approx(alone.validation.overall, abs=0.01)
    ours, theirs = load_recommender(joined.folder).recommender, alone.saved.recommender
    torch.testing.assert_close(ours.item_table(), theirs.item_table(), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(ours.scores(data.log), theirs.scores(data.log), rtol=1e-3, atol=1e-3)
