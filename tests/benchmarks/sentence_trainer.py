"""The peer of stage 1: sentence-transformers' trainer with its in-batch loss, MultipleNegativesRankingLoss."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from transformers import TrainerCallback

from pipeline_tasks.encoders.encoder_pairs import PairDraw

RATE = 5e-5


class _Clock(TrainerCallback):
    """Marks the end of every step: what lies between two marks holds the step and the making of its batch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock, self.marks = clock, list[float]()

    def on_step_end(self, *given: Any, **named: Any) -> None:  # noqa: ANN401
        self.marks.append(self.clock())


def train_steps(
    model: SentenceTransformer,
    texts: list[str],
    draw: PairDraw,
    rng: np.random.Generator,
    *,
    pairs: int,
    steps: int,
    folder: Path,
    half: bool,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Train for `steps` steps of `pairs` pairs on the model's device, and return the seconds of each by `clock`."""
    # One step more: the first mark is where the clock starts. Pairs drawn one by one, as its users draw them.
    left, right = draw.draw(pairs * (steps + 1), rng)
    columns = {"anchor": [texts[row] for row in left], "positive": [texts[row] for row in right]}
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=pairs,
        max_steps=steps + 1,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        weight_decay=0.01,
        bf16=half,
        use_cpu=model.device.type == "cpu",
        save_strategy="no",
        report_to="none",
        logging_strategy="no",
        disable_tqdm=True,
    )
    marks = _Clock(clock)
    trainer = SentenceTransformerTrainer(
        model, arguments, Dataset.from_dict(columns), loss=MultipleNegativesRankingLoss(model), callbacks=[marks]
    )
    trainer.train()
    return np.diff(marks.marks).tolist()
