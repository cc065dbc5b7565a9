"""A small training with checkpoints, as a process that can be killed.

python -m tests.pipeline_tasks.training.interrupted_training FOLDER THREADS
"""

import sys
from pathlib import Path

import numpy as np
import torch

from pipeline_tasks.candidates.resumable_fit import resumable_fit
from pipeline_tasks.data.split_parts import split_parts
from pipeline_tasks.evaluation.ranking_task import build_task
from pipeline_tasks.training.best_epoch import BestEpoch
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from pipeline_tasks.training.training_checkpoint import TrainingCheckpoint, training_fingerprint
from tests.pipeline_tasks.logs import random_log

ITEMS = 40
TEXTS = np.random.default_rng(9).standard_normal((ITEMS, 12)).astype(np.float32)
OPTIONS = FitOptions(
    epochs=7, dimension=16, text_dimension=8, max_length=20, linear_rank=8, learning_rate=1e-2, averaged=True
)
TASK = build_task(
    split_parts(random_log(200, ITEMS, seed=4), {"strategy": "per_user"}), "validation", "discovery", ITEMS
)


def train_with_checkpoints(
    folder: Path, options: FitOptions = OPTIONS, heard: list[tuple[int, float]] | None = None
) -> tuple[TwoTowerTrainer, BestEpoch]:
    """Train, or resume from `folder`; `heard` collects the (epoch, loss) that MLflow would get."""
    heard = heard if heard is not None else []
    trainer = TwoTowerTrainer(TASK.known, TEXTS, options)
    # The whole training, whenever the best epoch was: which is killed must not depend on luck.
    best = BestEpoch(TASK, lambda figures, epoch: heard.append((epoch, figures["train_loss"])), patience=99)
    input_digest = training_fingerprint(TASK.known, TEXTS, options, TASK)
    resumable_fit(trainer, best, TrainingCheckpoint(folder / "training.safetensors", input_digest))
    return trainer, best


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[2]))
    train_with_checkpoints(Path(sys.argv[1]))
