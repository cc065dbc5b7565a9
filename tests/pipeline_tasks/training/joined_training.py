"""A small training in one process, or in several that torchrun starts; the first process saves the result.

torchrun --standalone --nproc-per-node 2 -m tests.pipeline_tasks.training.joined_training FOLDER
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from pipeline_tasks.candidates.resumable_fit import fit_worker, resumable_fit
from pipeline_tasks.data.split_parts import split_parts
from pipeline_tasks.evaluation.ranking_task import build_task
from pipeline_tasks.training.best_epoch import BestEpoch
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from pipeline_tasks.training.training_checkpoint import TrainingCheckpoint
from pipeline_tasks.training.training_processes import ALONE, Processes, join_processes
from tests.pipeline_tasks.logs import random_log

ITEMS = 60
LOG = random_log(120, ITEMS, seed=4)
TEXTS = np.random.default_rng(9).standard_normal((ITEMS, 12)).astype(np.float32)
PLAIN = FitOptions(
    epochs=2, dimension=16, text_dimension=8, max_length=20, linear_rank=8, dropout=0.0, half=False, batch_positions=400
)
KINDS = {"full": PLAIN, "sampled": replace(PLAIN, negatives=16), "members": replace(PLAIN, members=2)}


def trained(options: FitOptions, processes: Processes = ALONE) -> tuple[dict[str, torch.Tensor], list[float]]:
    """Return the weights and the mean loss of each epoch; only the first process gets the losses."""
    trainer, losses = TwoTowerTrainer(LOG, TEXTS, options, processes=processes), []

    def after(epoch: int, loss: float) -> bool:
        assert processes.rank == 0
        losses.append(loss)
        return epoch < 2

    # One epoch more than `after`: the other processes must receive the end of the training.
    trainer.optimizer.planned = 40
    trainer.options = replace(options, epochs=3)
    return dict(trainer.fit(after).model.state_dict()), losses


def resumed_after_one_epoch(path: Path, processes: Processes) -> dict[str, torch.Tensor]:
    """Train one epoch, then resume in a second attempt; return its weights and its progress."""
    for epochs in (1, 2):
        trainer = TwoTowerTrainer(LOG, TEXTS, replace(PLAIN, epochs=epochs), processes=processes)
        if processes.rank:
            fit_worker(trainer, path)
        else:
            task = build_task(split_parts(LOG, {"strategy": "per_user"}), "validation", "discovery", ITEMS)
            best = BestEpoch(task, lambda figures, epoch: None, patience=9)
            resumable_fit(trainer, best, TrainingCheckpoint(path, {}))
            assert len(best.history) == epochs
    return {**trainer.model.state_dict(), "epoch": torch.tensor(trainer.epoch)}


if __name__ == "__main__":
    with join_processes() as processes:
        for name, options in KINDS.items():
            weights, losses = trained(options, processes)
            file = Path(sys.argv[1]) / f"{name}.{processes.rank}.safetensors"
            save_file({**weights, "losses": torch.tensor(losses)}, file)
        resumed = resumed_after_one_epoch(Path(sys.argv[1]) / "training.safetensors", processes)
        save_file(resumed, Path(sys.argv[1]) / f"resumed.{processes.rank}.safetensors")
