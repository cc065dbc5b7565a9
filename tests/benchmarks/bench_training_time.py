"""How soon a training on Amazon Beauty is good: the titles' vectors, stage 2 and its choices, then one look at test.

pytest -s tests/benchmarks/bench_training_time.py
NIGHTSHELF_BENCH_EPOCHS=4 pytest -s tests/benchmarks/bench_training_time.py

All as shipped but the number of epochs: validation has 98 % of its best after six, and the rate falls to 0 over them.
"""

import os
import time
from pathlib import Path
from typing import Final

import pytest

from pipeline_tasks.candidates.candidate_training import train
from pipeline_tasks.config.settings import settings
from pipeline_tasks.evaluation.full_ranking import evaluate
from pipeline_tasks.evaluation.ranking_task import build_task
from pipeline_tasks.training.best_epoch import METRIC
from tests.benchmarks.sequence_sets import read_amazon_beauty
from tests.benchmarks.side_by_side import write_results

EPOCHS: Final = int(os.environ.get("NIGHTSHELF_BENCH_EPOCHS", "6"))
SECONDS: Final = 300
"""Wanted on two cores, with WANTED on test."""
WANTED: Final = 0.066


@pytest.mark.real_data
def test_training_time(shared_data: Path, tmp_path: Path) -> None:
    data = read_amazon_beauty(shared_data)
    training = settings().training.model_copy(update={"seed": 1, "epochs": EPOCHS})
    started = time.perf_counter()
    trained = train(data, "frozen", training, tmp_path, lambda metrics, step: None)
    seconds = round(time.perf_counter() - started, 1)
    task = build_task(data.parts, "test", "discovery", len(data.catalog))
    found = evaluate(trained.saved.recommender.at(data.parts.known_before("test")), task).overall[METRIC]
    row = {
        "name": "training on Amazon Beauty",
        "size": f"{EPOCHS} epochs",
        "ours": seconds,
        "peer": f"wanted for {METRIC} {WANTED} on test",
        "peer_figure": SECONDS,
        "ratio": round(seconds / SECONDS, 3),
        "unit": "seconds",
        METRIC: round(found, 5),
        "validation": round(trained.validation.overall[METRIC], 5),
        "best_epoch": trained.best_epoch,
    }
    write_results("training_time", [row])
    assert found >= WANTED
    assert seconds <= SECONDS
