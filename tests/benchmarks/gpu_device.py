"""What the parts of the GPU benchmark share: their sizes, the device, and the figures that they report."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from tests.benchmarks.side_by_side import REPOSITORY

Row = dict[str, Any]
"""A figure: `what`, `figure` and `unit`, and whatever belongs to it."""
Report = Callable[[Row], None]
"""Takes a figure as soon as it is measured, so that it is kept even if the part fails later."""


class SkippedError(Exception):
    """A part cannot be measured here; the message says why."""


@dataclass(frozen=True)
class Sizes:
    """How much each part computes, and where."""

    device: str
    runs: int
    """Repetitions; the figure is their median."""
    peak_side: int
    """Side of the square bfloat16 product whose rate is the peak."""
    users: int
    items: int
    """Of the top-k."""
    task_items: int
    task_users: tuple[int, ...]
    """Users of a batch of the scoring task."""
    texts: int
    small_encoder: dict[str, int]
    """Settings of BertConfig for stage 1."""
    pairs: tuple[int, ...]
    """Pairs of a step of stage 1."""
    steps: int
    large_encoder: dict[str, int]
    large_pairs: tuple[int, int]
    """Pairs of a step that the large encoder begins with, and the most."""
    shared_data: Path | None
    """Folder of the public logs; None for a small log in the same files."""


FULL: Final = Sizes(
    device="cuda:0",
    runs=3,
    peak_side=8_192,
    users=16_384,
    items=1_000_000,
    task_items=100_000,
    task_users=(2_048, 8_192),
    texts=20_000,
    # The shape of the default encoder, all-MiniLM-L6-v2.
    small_encoder={
        "hidden_size": 384,
        "num_hidden_layers": 6,
        "num_attention_heads": 12,
        "intermediate_size": 1_536,
    },
    pairs=(128, 2_048),
    steps=12,
    large_encoder={},
    large_pairs=(1_024, 8_192),
    shared_data=REPOSITORY.parent / "shared" / "data",
)
_TINY: Final = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
TOY: Final = Sizes(
    device="cpu",
    runs=1,
    peak_side=128,
    users=64,
    items=2_000,
    task_items=500,
    task_users=(16, 32),
    texts=60,
    small_encoder=_TINY,
    pairs=(8,),
    steps=3,
    large_encoder=_TINY,
    large_pairs=(8, 16),
    shared_data=None,
)


def synchronize(device: str) -> None:
    """Wait for the device to finish; a CPU always has."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def reset_peak_memory(device: str) -> None:
    """Begin to record the device's memory anew."""
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_memory_share(device: str) -> float:
    """Return the share of the device's memory that torch had in use at most; 0 on a CPU, which records none."""
    if not device.startswith("cuda"):
        return 0.0
    return torch.cuda.max_memory_allocated() / torch.cuda.get_device_properties(0).total_memory


def median_seconds(work: Callable[[], object], device: str, runs: int) -> float:
    """Return the median wall time of `runs` calls, after one that is not timed."""
    taken = []
    for _ in range(runs + 1):
        synchronize(device)
        started = time.perf_counter()
        work()
        synchronize(device)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[1:])


def bfloat16_peak(sizes: Sizes) -> float:
    """Return the operations per second of a large square bfloat16 product: the most that a program can hope for."""
    square = torch.randn(sizes.peak_side, sizes.peak_side, device=sizes.device).bfloat16()
    return 2.0 * sizes.peak_side**3 / median_seconds(lambda: square @ square, sizes.device, 20)


def peak_row(peak: float, sizes: Sizes) -> Row:
    """Return the peak as a figure."""
    what = f"bfloat16 peak, a product of {sizes.peak_side:,} x {sizes.peak_side:,}"
    return {"what": what, "figure": peak / 1e12, "unit": "TFLOPS"}
