"""Products of int8 matrices, and a check whether they are exact and fast on this CPU."""

from functools import cache
from pathlib import Path

import numpy as np
import torch

from pipeline_tasks.topk.arrays import Scores, Vectors


@cache
def multiplies_bytes() -> bool:
    """Return whether the CPU adds four byte products in one instruction, and torch's int8 product is exact.

    Without that instruction oneDNN adds pairs in 16 bits, which saturate, and is no faster than float32.
    """
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    if not any(name in flags for name in ("avx512_vnni", "avx_vnni", "amx_int8")):
        return False
    # The largest possible sums and mixed signs. 200 is no multiple of any SIMD width.
    left = torch.tensor([127, -127], dtype=torch.int8).repeat_interleave(200).reshape(2, 200).repeat(20, 1)
    right = torch.from_numpy(np.random.default_rng(0).choice([-127, -1, 0, 127], (64, 200)).astype(np.int8))
    exact = left.long() @ right.long().T
    return bool((torch._int_mm(left, right.T) == exact).all())


def to_bytes(vectors: Vectors, scale: Scores) -> tuple[torch.Tensor, Scores]:
    """Return (n, `padded_width`) int8 vectors, and (n,) bounds on the length of the rounding error.

    The vectors are divided by `scale` (n, 1) before they are rounded.
    """
    exact, each = torch.tensor(vectors), torch.from_numpy(scale).float()
    small = (exact / each).round_()
    # The float32 product and difference round too, by half a unit of the vector each.
    lost = _lengths(exact - small * each) + _lengths(exact) * 2.0**-22
    filled = torch.nn.functional.pad(small.to(torch.int8), (0, padded_width(vectors.shape[1]) - vectors.shape[1]))
    return filled, lost.numpy()


def _lengths(vectors: torch.Tensor) -> torch.Tensor:
    # In float64, because the square of a small float32 underflows.
    lengths: torch.Tensor = torch.linalg.vector_norm(vectors, dim=1, dtype=torch.float64)
    return lengths


def padded_width(width: int) -> int:
    """Return the width rounded up to a multiple of four. `_int_mm` of torch 2.13 does not write products of width 1."""
    return -(-width // 4) * 4


def byte_scale(largest: Vectors) -> Scores:
    """Return the value of a byte's unit, so that 127 stands for the largest number (float32 values, as float64)."""
    scale: Scores = np.maximum(largest / np.float32(127), np.float32(1e-30)).astype(np.float64)
    return scale
