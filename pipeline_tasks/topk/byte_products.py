"""Products of int8 matrices, and whether this processor's are exact and fast."""

from functools import cache
from pathlib import Path

import numpy as np
import torch

from pipeline_tasks.topk.arrays import Scores, Vectors


@cache
def multiplies_bytes() -> bool:
    """Return whether the CPU sums four products of bytes in one instruction, and torch's product is exact.

    Without such an instruction oneDNN adds pairs in 16 bits, which saturate, and is no faster than float32.
    """
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    if not any(name in flags for name in ("avx512_vnni", "avx_vnni", "amx_int8")):
        return False
    # The largest sums that there are, and the signs mixed: 200 numbers are no multiple of any vector's width.
    left = torch.tensor([127, -127], dtype=torch.int8).repeat_interleave(200).reshape(2, 200).repeat(20, 1)
    right = torch.from_numpy(np.random.default_rng(0).choice([-127, -1, 0, 127], (64, 200)).astype(np.int8))
    exact = left.long() @ right.long().T
    return bool((torch._int_mm(left, right.T) == exact).all())


def to_bytes(vectors: Vectors, scale: Scores) -> tuple[torch.Tensor, Scores]:
    """Return (n, `padded_width`) int8 of the vectors divided by `scale` (n, 1); (n,) at least the length of what that
    lost."""
    exact, each = torch.tensor(vectors), torch.from_numpy(scale).float()
    small = (exact / each).round_()
    # Float32 itself: the product and the difference round, by half a unit of the vector each.
    lost = _lengths(exact - small * each) + _lengths(exact) * 2.0**-22
    filled = torch.nn.functional.pad(small.to(torch.int8), (0, padded_width(vectors.shape[1]) - vectors.shape[1]))
    return filled, lost.numpy()


def _lengths(vectors: torch.Tensor) -> torch.Tensor:
    # In float64: the square of a small float32 is none.
    lengths: torch.Tensor = torch.linalg.vector_norm(vectors, dim=1, dtype=torch.float64)
    return lengths


def padded_width(width: int) -> int:
    """Return the width filled up to fours: torch 2.13's `_int_mm` leaves products of width 1 unwritten."""
    return -(-width // 4) * 4


def byte_scale(largest: Vectors) -> Scores:
    """Return what a byte's 1 stands for (float32 numbers, as float64), so that 127 is the largest number."""
    scale: Scores = np.maximum(largest / np.float32(127), np.float32(1e-30)).astype(np.float64)
    return scale
