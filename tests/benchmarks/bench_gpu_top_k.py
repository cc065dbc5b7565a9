"""Exact top-100 on a GPU with seen items masked, beside torch's product and topk, and the bfloat16 peak of the run.

make bench-gpu
python -m tests.benchmarks.bench_gpu_top_k

A script, and not a test: it needs neither Airflow nor Spark, whose session all tests share.
"""

import os
import sys
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch

from pipeline_tasks.topk.arrays import Exclusions, Vectors
from pipeline_tasks.topk.top_k import top_k, use_scoring_device
from tests.benchmarks.side_by_side import seconds_in_turn, write_results

K: Final = 100
WIDTH: Final = 128
SEEN: Final = 20
USERS: Final = int(os.environ.get("NIGHTSHELF_BENCH_USERS", "16384"))
ITEMS: Final = int(os.environ.get("NIGHTSHELF_BENCH_ITEMS", "1000000"))
RUNS: Final = 5
SIDE: Final = 8_192
"""Of the square product whose rate is the peak."""


def main() -> None:
    """Measure, and write results/gpu_top_k.json."""
    if not torch.cuda.is_available():
        sys.exit("make bench-gpu needs an NVIDIA GPU and torch's CUDA build: torch sees no CUDA device here")
    # Not before: without CUDA there is no Triton to import, and pytest imports this file with the other benchmarks.
    from pipeline_tasks.topk.gpu_top_k import gpu_top_k, prepare_on

    rng = np.random.default_rng(1)
    users, items = rng.standard_normal((USERS, WIDTH), np.float32), rng.standard_normal((ITEMS, WIDTH), np.float32)
    seen = Exclusions(np.arange(USERS + 1) * SEEN, rng.integers(0, ITEMS, USERS * SEEN))
    items.flags.writeable = False
    unsettled = _check(users[:1_024], items, seen)
    prepared = prepare_on(items, "cuda:0")
    square = torch.randn(SIDE, SIDE, device="cuda:0").bfloat16()
    halves = prepared.exact.bfloat16()
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: list(gpu_top_k(users, K, seen, prepared)),
        "torch.matmul + topk": lambda: _matmul_top_k(users, halves, seen),
        "bfloat16 peak": lambda: _synchronized(lambda: square @ square),
    }
    taken = seconds_in_turn(contenders, RUNS)
    rows = [
        _row(taken, "torch.matmul + topk", 2.0 * USERS * ITEMS * WIDTH),
        _row(taken, "bfloat16 peak", 2.0 * SIDE**3),
    ]
    write_results("gpu_top_k", [row | {"unsettled": unsettled, "gpu": torch.cuda.get_device_name()} for row in rows])


def _check(users: Vectors, items: Vectors, seen: Exclusions) -> float:
    """Return the share of users that the GPU leaves to the CPU; stop where one differs from the CPU's."""
    from pipeline_tasks.topk.gpu_top_k import gpu_top_k, prepare_on

    counts = np.concatenate([block[1] for block in gpu_top_k(users, K, seen, prepare_on(items, "cuda:0"))])
    with use_scoring_device("cuda:0"):
        ours = top_k(users, items, K, seen)
    expected = top_k(users, items, K, seen)
    if not (np.array_equal(ours.items, expected.items) and np.array_equal(ours.scores, expected.scores)):
        sys.exit("the GPU's top-k is not the CPU's: nothing is measured")
    return float((counts < 0).mean())


def _row(taken: dict[str, float], peer: str, operations: float) -> dict[str, Any]:
    ours, theirs = 2.0 * USERS * ITEMS * WIDTH / taken["ours"] / 1e12, operations / taken[peer] / 1e12
    return {
        "name": "exact top-k on a GPU",
        "size": f"{USERS:,} users x {ITEMS:,} items, d = {WIDTH}, k = {K}, {SEEN} seen items masked",
        "ours": round(ours, 1),
        "peer": peer,
        "peer_figure": round(theirs, 1),
        "ratio": round(ours / theirs, 3),
        "unit": "10^12 operations per second",
        "runs": RUNS,
    }


def _matmul_top_k(users: Vectors, halves: torch.Tensor, seen: Exclusions) -> None:
    """In bfloat16, so that the peer is fast, and not exact; 2,048 users at a time."""
    for first in range(0, len(users), 2_048):
        ours = torch.from_numpy(users[first : first + 2_048]).to(halves.device).bfloat16()
        scores = ours @ halves.T
        rows, hidden = seen.block(first, first + len(ours))
        scores[torch.from_numpy(rows).to(halves.device), torch.from_numpy(hidden).to(halves.device)] = -torch.inf
        best = scores.topk(K, dim=1)
        best.indices.cpu(), best.values.float().cpu()


def _synchronized(work: Callable[[], object]) -> None:
    work()
    torch.cuda.synchronize()


if __name__ == "__main__":
    main()
