"""Scoring on a GPU: the exact top-k of a large catalog, and a task of the nightly recommendations."""

import json
import tempfile
from collections.abc import Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from pipeline_tasks.topk.arrays import Exclusions, Vectors
from pipeline_tasks.topk.top_k import _fast_blocks, top_k, use_scoring_device
from tests.benchmarks.gpu_device import Report, Row, Sizes, bfloat16_peak, median_seconds, peak_row

K: Final = 100
WIDTH: Final = 128
SEEN: Final = 20
"""Items that each user has, and must not get."""
CHECKED_USERS: Final = 256
PEER_USERS: Final = 2_048
"""Users of a block of the peer, whose scores are 4 GB for a million items."""
ROWS: Final = 20
"""Recommendations of a user, as shipped."""
DAY: Final = date(2026, 11, 20)


def measure_top_k(sizes: Sizes, report: Report) -> None:
    """Report the exact top-k with masked items, beside torch's product and topk, and the bfloat16 peak.

    Raises:
        RuntimeError: the device's result is not the CPU's.
    """
    rng, device = np.random.default_rng(1), sizes.device
    users = rng.standard_normal((sizes.users, WIDTH), np.float32)
    items = rng.standard_normal((sizes.items, WIDTH), np.float32)
    # Read-only items are prepared once, as a task maps them from a file.
    items.flags.writeable = False
    seen = Exclusions(np.arange(len(users) + 1) * SEEN, rng.integers(0, len(items), len(users) * SEEN))
    unproven = _check(users[:CHECKED_USERS], items, seen, device)
    peak = bfloat16_peak(sizes)
    report(peak_row(peak, sizes))
    halves = torch.tensor(items, device=device).bfloat16()

    def ours() -> None:
        with use_scoring_device(device):
            top_k(users, items, K, seen)

    def peer() -> None:
        _matmul_top_k(users, halves, seen)

    for what, work in (("Nightshelf, exact", ours), ("torch.matmul + topk in bfloat16, not exact", peer)):
        seconds = median_seconds(work, device, sizes.runs)
        operations = 2.0 * len(users) * len(items) * WIDTH / seconds
        report(
            {
                "what": what,
                "figure": operations / 1e12,
                "unit": "TFLOPS",
                "seconds": seconds,
                "share_of_peak": operations / peak,
                "size": f"{len(users):,} users x {len(items):,} items, d = {WIDTH}, k = {K}, {SEEN} items masked",
                "unproven_users": unproven if work is ours else None,
            }
        )


def _check(users: Vectors, items: Vectors, seen: Exclusions, device: str) -> float:
    """Return the share of users whom the first pass on the device leaves to the dense one."""
    expected = top_k(users, items, K, seen)
    with use_scoring_device(device):
        ours = top_k(users, items, K, seen)
        counts = np.concatenate([block[1] for block in _fast_blocks(users, items, K, seen)])
    if not (np.array_equal(ours.items, expected.items) and np.array_equal(ours.scores, expected.scores)):
        raise RuntimeError(f"the top-k of {device} is not the CPU's: nothing is measured")
    return float((counts < 0).mean())


def _matmul_top_k(users: Vectors, halves: torch.Tensor, seen: Exclusions) -> None:
    k = min(K, len(halves))
    for first in range(0, len(users), PEER_USERS):
        ours = torch.from_numpy(users[first : first + PEER_USERS]).to(halves.device).bfloat16()
        scores = ours @ halves.T
        rows, hidden = seen.block(first, first + len(ours))
        scores[torch.from_numpy(rows).to(halves.device), torch.from_numpy(hidden).to(halves.device)] = -torch.inf
        best = scores.topk(k, dim=1)
        best.indices.cpu(), best.values.float().cpu()


def measure_scoring_task(sizes: Sizes, report: Report) -> None:
    """Report the users per second of a Spark task of `recommendations`, from Arrow batch to Arrow batch, without Spark.

    The CPU beside it scores one batch, with all its cores.
    """
    # Here, because it imports pyspark, which no other part needs.
    from pipeline_tasks.config.business_rules import BusinessRules
    from spark_jobs.recommending.recommend_users import RecommendationRequest

    with tempfile.TemporaryDirectory() as work:
        folder = _offered_items(Path(work), sizes.task_items)
        for size in sizes.task_users:
            request = RecommendationRequest(folder, ROWS, 0, size, "bench/1", DAY, BusinessRules())
            for device in dict.fromkeys((sizes.device, "cpu")):
                runs = sizes.runs if device == sizes.device else 1
                score = partial(_score, _batches(sizes.task_items, size), device, request)
                report(_task_row(size, device, median_seconds(score, device, runs), sizes))


def _score(batches: Iterator[pa.RecordBatch], device: str, request: Any) -> None:  # noqa: ANN401
    from spark_jobs.recommending.recommend_users import recommend_batch

    batch = next(batches)
    with use_scoring_device(device):
        rows = recommend_batch(batch, request)
    if rows.num_rows != ROWS * batch.num_rows:
        raise RuntimeError(f"{rows.num_rows} rows for {batch.num_rows} users, not {ROWS} each")


def _task_row(users: int, device: str, seconds: float, sizes: Sizes) -> Row:
    return {
        "what": f"scoring task on {device.partition(':')[0]}, {users:,} users a batch",
        "figure": users / seconds,
        "unit": "users per second",
        "size": f"{sizes.task_items:,} items, d = {WIDTH}, {ROWS} rows a user, {SEEN} events a user",
    }


def _offered_items(work: Path, n_items: int) -> str:
    """Write vectors and catalog of a day as `embed_items` does, and return the folder of the offered items."""
    from pipeline_tasks.recommend.excluded_items import OPT_OUTS, Excluded
    from pipeline_tasks.recommend.prepare_offered_items import prepare_offered_items

    vectors, rng = work / "vectors", np.random.default_rng(2)
    vectors.mkdir()
    for name in ("items", "visitors"):
        np.save(vectors / f"{name}.npy", rng.standard_normal((n_items, WIDTH), np.float32))
    numbers = range(n_items)
    catalog = pa.table(
        {
            "item_id": [f"i{number}" for number in numbers],
            "title": [f"Title {number}" for number in numbers],
            "category": [f"Kitchen > C{number % 300}" for number in numbers],
            "brand": [f"Brand {number % 500}" for number in numbers],
            "first_seen": pa.array([date(2026, 1, 1)] * n_items, pa.date32()),
            "ds": pa.array([DAY] * n_items, pa.date32()),
        }
    )
    pq.write_table(catalog.select(["item_id"]), vectors / "item_ids.parquet")
    (vectors / "meta.json").write_text(json.dumps({"model_version": "bench/1", "dimension": WIDTH}))
    return prepare_offered_items(vectors, catalog, Excluded({}, OPT_OUTS.empty_table()), set())[0]


def _batches(n_items: int, users: int) -> Iterator[pa.RecordBatch]:
    """Yield batches of users with vectors and histories without end, with the columns that a task reads."""
    rng = np.random.default_rng(3)
    starts = np.arange(users + 1, dtype=np.int32)
    while True:
        vectors = pa.array(rng.standard_normal(users * WIDTH, np.float32))
        ids = pa.array([f"i{number}" for number in rng.integers(0, n_items, users * SEEN)])
        times = pa.array(np.arange(users * SEEN, dtype=np.int64))
        empty = pa.array(np.zeros(users + 1, np.int32))
        yield pa.RecordBatch.from_pydict(
            {
                "user_key": [f"u{number}" for number in range(users)],
                "vector": pa.ListArray.from_arrays(starts * WIDTH, vectors),
                "own_items": pa.ListArray.from_arrays(empty, pa.array([], pa.int32())),
                "own_scores": pa.ListArray.from_arrays(empty, pa.array([], pa.float32())),
                "item_ids": pa.ListArray.from_arrays(starts * SEEN, ids),
                "event_types": pa.ListArray.from_arrays(starts * SEEN, pa.array(["purchase"] * len(ids))),
                "timestamps": pa.ListArray.from_arrays(starts * SEEN, times),
            }
        )
