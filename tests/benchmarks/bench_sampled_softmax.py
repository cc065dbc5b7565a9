"""What drawn items cost in quality, at as many epochs and at as much time as the whole catalog takes: Amazon Sports.

pytest -s tests/benchmarks/bench_sampled_softmax.py
NIGHTSHELF_BENCH_EPOCHS=2 pytest -s tests/benchmarks/bench_sampled_softmax.py

All as shipped but the number of negatives (and of epochs, where time is alike); judged by validation, no look at test.
"""

import os
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from pipeline_tasks.candidates.candidate_training import train
from pipeline_tasks.config.settings import settings
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.training.best_epoch import METRIC
from pipeline_tasks.training.training_choices import choose_options
from tests.benchmarks.bench_catalog_size import NEGATIVES
from tests.benchmarks.sequence_sets import read_amazon_sports
from tests.benchmarks.side_by_side import write_results

EPOCHS: Final = int(os.environ.get("NIGHTSHELF_BENCH_EPOCHS", "0"))
"""0 for what the log chooses."""


@dataclass
class Epochs:
    """When each epoch of a training ended, and how good it was."""

    ended: list[float] = field(default_factory=list)
    found: list[float] = field(default_factory=list)
    towers: list[float] = field(default_factory=list)
    """Without the linear part, which drawn items do not touch."""

    def __call__(self, metrics: Mapping[str, float], step: int) -> None:
        if "validation_ndcg_at_10" in metrics:
            self.ended.append(time.perf_counter())
            self.found.append(metrics["validation_ndcg_at_10"])
            self.towers.append(metrics["validation_towers_ndcg_at_10"])

    @property
    def seconds(self) -> float:
        """Of an epoch with its look at validation: the median after the first, whose begin is not known."""
        return statistics.median(later - earlier for earlier, later in pairwise(self.ended))


@pytest.mark.real_data
def test_sampled_softmax(shared_data: Path, tmp_path: Path) -> None:
    data = read_amazon_sports(shared_data)
    training = settings().training.model_copy(update={"seed": 1})
    known = data.parts.known_before("validation")
    epochs = EPOCHS or choose_options(known, "leave_one_out", training, len(data.catalog)).epochs
    whole, alike = _train(data, 0, epochs, tmp_path), _train(data, NEGATIVES, epochs, tmp_path)
    longer = round(epochs * whole.seconds / alike.seconds)
    as_long = _train(data, NEGATIVES, longer, tmp_path) if longer > epochs else alike
    rows = [_row(data, "as many epochs", alike, whole), _row(data, "as much time", as_long, whole)]
    write_results("sampled_softmax", rows)


def _train(data: RunData, negatives: int, epochs: int, work: Path) -> Epochs:
    chosen = {"seed": 1, "negatives": negatives or len(data.catalog), "epochs": epochs}
    recorded = Epochs()
    train(data, "frozen", settings().training.model_copy(update=chosen), work, recorded)
    return recorded


def _row(data: RunData, name: str, sampled: Epochs, whole: Epochs) -> dict[str, Any]:
    ours, peer = max(sampled.found), max(whole.found)
    return {
        "name": f"sampled softmax, {name}",
        "size": f"Amazon Sports, {len(data.catalog):,} items, {NEGATIVES:,} negatives",
        "ours": round(ours, 5),
        "peer": "full softmax",
        "peer_figure": round(peer, 5),
        "ratio": round(ours / peer, 3),
        "unit": f"{METRIC} on validation",
        "towers": round(max(sampled.towers), 5),
        "peer_towers": round(max(whole.towers), 5),
        "epochs": len(sampled.found),
        "seconds_an_epoch": round(sampled.seconds, 2),
        "peer_epochs": len(whole.found),
        "peer_seconds_an_epoch": round(whole.seconds, 2),
    }
