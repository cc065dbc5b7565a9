"""Ten times the users, how many times the time: the nightly tables, their gate and their commit, at several sizes.

pytest -s tests/benchmarks/bench_run_scale.py
NIGHTSHELF_BENCH_SHOPPERS=10000,100000 NIGHTSHELF_BENCH_RUNS=1 pytest -s tests/benchmarks/bench_run_scale.py

Users of 12 events in 30 days, 10,000 items of which a fiftieth is new, vectors of 128 numbers. The vectors are
drawn, not embedded: what embed_shelf adds is one pass of the user tower, measured apart on 100,000 users at most.
"""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.staging import publish, read_manifest
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from tests.benchmarks.measured_process import run_measured
from tests.benchmarks.side_by_side import write_results
from tests.spark_jobs.large_run import DAYS, LargeRun

SIZES: Final = [int(size) for size in os.environ.get("NIGHTSHELF_BENCH_SHOPPERS", "10000,100000,1000000").split(",")]
RUNS: Final = int(os.environ.get("NIGHTSHELF_BENCH_RUNS", "1"))
ITEMS: Final = 10_000
WIDTH: Final = 128
EVENTS: Final = 12
_DAY: Final = 86_400_000_000
STEPS: Final = ("recommend_items", "validate_recommend", "publish_recommend")


def test_run_scale(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    for users in SIZES:
        rows.append(_measured(users, tmp_path / str(users), rows[-1] if rows else None))
        # At once: the largest takes long, and may be cut short.
        write_results("run_scale", rows)
        shutil.rmtree(tmp_path / str(users))
    assert all(row["ratio"] <= 1 for row in rows), "ten times the users took more than ten times as long"


def _measured(users: int, home: Path, smaller: dict[str, Any] | None) -> dict[str, Any]:
    run = LargeRun(users=users, items=ITEMS, events=EVENTS, width=WIDTH)
    run.prepare(Settings(home=home))
    runs = [_run(run, home) for _ in range(RUNS)]
    seconds = {step: round(median(run.seconds[step] for run in runs), 1) for step in STEPS}
    whole = round(median(sum(run.seconds[step] for step in STEPS) for run in runs), 1)
    return {
        "name": "nightly tables, gate and commit",
        "size": f"{users:,} users, {ITEMS:,} items",
        "users": users,
        "ours": whole,
        "peer": "a run with fewer users, scaled to the same number",
        "peer_figure": round(smaller["ours"] * users / smaller["users"], 1) if smaller else whole,
        "ratio": round(whole / (smaller["ours"] * users / smaller["users"]), 2) if smaller else 1.0,
        "unit": "seconds",
        "runs": RUNS,
        "seconds": seconds | {"embed, apart": round(_embed_seconds(users), 1)},
        "parts_of_recommend_items_two_at_once": runs[-1].parts,
        "peak_gib": round(max(run.peak_bytes for run in runs) / 2**30, 2),
    }


@dataclass(frozen=True)
class _Run:
    seconds: dict[str, float]
    """Of each of `STEPS`."""
    parts: dict[str, float]
    """Of recommend_items."""
    peak_bytes: int
    """The most that a step's processes held together."""


def _run(run: LargeRun, home: Path) -> _Run:
    arguments = ("--source", run.run_key.source, "--date", run.run_key.ds.isoformat())
    environment = {"NIGHTSHELF_HOME": str(home)}
    built = run_measured("spark_jobs.recommend_items", *arguments, environment=environment)
    gated = run_measured("spark_jobs.validate_tables", "--step", "recommend", *arguments, environment=environment)
    started = time.perf_counter()
    own = Settings(home=home)
    manifest = read_manifest(own, run.run_key, "recommend")
    publish(Lake.open(own, run.run_key.source), manifest)
    published = time.perf_counter() - started
    seconds = dict(zip(STEPS, (built.seconds, gated.seconds, published), strict=True))
    return _Run(seconds, manifest.seconds, max(built.peak_bytes, gated.peak_bytes))


def _embed_seconds(users: int) -> float:
    """Return what embedding takes, in proportion beyond 100,000; an untrained model is as dear as a trained one."""
    part = min(users, 100_000)
    rng = np.random.default_rng(1)
    log = _log(rng, part)
    texts = rng.standard_normal((ITEMS, 64), dtype=np.float32)
    recommender = TwoTowerTrainer(log, texts, FitOptions(dimension=WIDTH, text_dimension=64)).recommender
    started = time.perf_counter()
    recommender.user_matrix(log)
    return (time.perf_counter() - started) * users / part


def _log(rng: np.random.Generator, users: int) -> Interactions:
    size = users * EVENTS
    times = np.sort(rng.integers(0, DAYS * _DAY, (users, EVENTS)), axis=1).ravel()
    keys, offsets = [f"u{user}" for user in range(users)], np.arange(users + 1, dtype=np.int64) * EVENTS
    kinds = np.zeros(size, dtype=np.int64)
    return Interactions(keys, np.ones(users, np.bool_), offsets, rng.integers(0, ITEMS, size), kinds, times)
