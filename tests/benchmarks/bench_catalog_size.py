"""What a step of stage 2 costs with the whole catalog in its softmax, and with drawn items, against catalog size.

pytest -s tests/benchmarks/bench_catalog_size.py
NIGHTSHELF_BENCH_CATALOGS=10000,30000 pytest -s tests/benchmarks/bench_catalog_size.py

Processor time on one thread. Ten million items are derived, not measured: both costs are lines in the catalog's size.
"""

import os
import statistics
import time
from typing import Any, Final

import numpy as np
import torch

from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from pipeline_tasks.training.training_batch import draw_batch
from tests.benchmarks.side_by_side import write_results

SIZES: Final = [
    int(size) for size in os.environ.get("NIGHTSHELF_BENCH_CATALOGS", "10000,30000,100000,300000,1000000").split(",")
]
NEGATIVES: Final = 8_192
LENGTH: Final = 20
DAY: Final = 86_400_000_000


def test_cost_of_a_step() -> None:
    torch.set_num_threads(1)
    rows = [_measured(size) for size in SIZES]
    write_results("catalog_size", rows + ([_derived(rows)] if len(rows) > 2 else []))
    assert all(row["ratio"] > 1 for row in rows if row["items"] >= 100_000)


def _measured(size: int) -> dict[str, Any]:
    row = _row(size, _seconds(size, NEGATIVES), _seconds(size, 0))
    # At once: the largest take minutes.
    print(row["size"], row["ours"], row["peer_figure"], flush=True)
    return row


def _seconds(size: int, negatives: int) -> tuple[float, float]:
    """Return processor seconds of a step, the median after the first, and of the building before it."""
    options = FitOptions(
        text_dimension=64, max_length=LENGTH, dropout=0.2, linear_rank=0, negatives=negatives, epochs=1, answers=4
    )
    texts = np.random.default_rng(2).standard_normal((size, 64), dtype=np.float32)
    started = time.process_time()
    trainer = TwoTowerTrainer(synthetic_log(size), texts, options)
    built = time.process_time() - started
    trainer.rng = np.random.default_rng(1)
    trainer.optimizer.planned = 100
    trainer.model.train()
    taken = []
    for windows in trainer._batches()[: 6 if size < 300_000 or negatives else 3]:
        started = time.process_time()
        batch = draw_batch(windows, trainer.trends.buckets, trainer.targets, options.answers, trainer.rng)
        trainer.optimizer.clear()
        trainer.gradient.add([batch], trainer.rng)
        trainer.optimizer.step()
        taken.append(time.process_time() - started)
    return statistics.median(taken[1:]), built


def synthetic_log(items: int) -> Interactions:
    """Return histories of 20 events in which every item stands once, and bestsellers more often."""
    rng = np.random.default_rng(items)
    extra = (items * rng.random(items) ** 3).astype(np.int64)
    drawn = rng.permutation(np.concatenate([np.arange(items), extra]))
    users = len(drawn) // LENGTH
    drawn = drawn[: users * LENGTH].astype(np.int64)
    times = np.sort(rng.integers(0, 60 * DAY, (users, LENGTH)), axis=1).ravel()
    offsets = np.arange(users + 1, dtype=np.int64) * LENGTH
    keys = [f"u{user}" for user in range(users)]
    return Interactions(keys, np.ones(users, dtype=np.bool_), offsets, drawn, np.zeros(len(drawn), np.int64), times)


def _row(items: int, sampled: tuple[float, float], full: tuple[float, float]) -> dict[str, Any]:
    return {
        "name": "a step of stage 2",
        "size": f"{items:,} items, 2,048 places, d = 128, {NEGATIVES:,} negatives",
        "items": items,
        "ours": round(sampled[0], 3),
        "peer": "full softmax",
        "peer_figure": round(full[0], 3),
        "ratio": round(full[0] / sampled[0], 2),
        "unit": "processor seconds, one thread",
        "seconds_to_build": round(sampled[1], 1),
    }


def _derived(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the row of ten million items, on the lines that fit the three largest catalogs; no line falls."""
    items, wanted = [row["items"] for row in rows[-3:]], 10_000_000
    figures = {}
    for name in ("ours", "peer_figure"):
        costs = [row[name] for row in rows[-3:]]
        figures[name] = round(max(*costs, float(np.polyval(np.polyfit(items, costs, 1), wanted))), 3)
    ratio = round(figures["peer_figure"] / figures["ours"], 2)
    size = f"{wanted:,} items, derived from the three largest measured"
    return {**rows[-1], **figures, "size": size, "items": wanted, "ratio": ratio, "seconds_to_build": None}
