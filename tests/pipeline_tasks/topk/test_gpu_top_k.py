"""Tests of the GPU's top-k. A CPU interprets the kernels where Triton is installed (part of torch's CUDA builds)."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline_tasks.topk.arrays import dot_products
from pipeline_tasks.topk.gpu_items import filled_up, gpu_items, ordered_dots

REPOSITORY = Path(__file__).resolve().parents[3]

needs_triton = pytest.mark.skipif(
    find_spec("triton") is None, reason="Triton is not installed: it comes with torch's CUDA builds alone"
)


@needs_triton
def test_interpreted_kernels_equal_the_cpu() -> None:
    """In a separate process, because Triton chooses the interpreter at import."""
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])}
    command = [sys.executable, "-m", "tests.pipeline_tasks.topk.interpreted_gpu_top_k"]
    done = subprocess.run(
        command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 problems settled alike" in done.stdout


@pytest.mark.parametrize("width", [1, 7, 8, 100, 128, 129, 276])
def test_scores_are_bitwise_equal_to_the_cpu(width: int) -> None:
    rng = np.random.default_rng(width)
    users, items = rng.standard_normal((20, width), np.float32), rng.standard_normal((50, width), np.float32)
    chosen = rng.integers(0, 50, (20, 6))
    found = ordered_dots(torch.from_numpy(users), torch.from_numpy(items), torch.from_numpy(chosen))
    expected = dot_products(users, items, np.repeat(np.arange(20), 6), chosen.ravel())
    assert np.array_equal(found.numpy().ravel(), expected)


def test_products_in_bfloat16_are_within_their_bound() -> None:
    rng = np.random.default_rng(5)
    users, items = rng.standard_normal((40, 100), np.float32), rng.standard_normal((900, 100), np.float32) + 3
    prepared = gpu_items(items, "cpu", 4, 128, 256)
    ours = torch.from_numpy(users)
    rough, fine = prepared.errors(ours)
    exact = torch.from_numpy(users.astype(np.float64) @ (items - prepared.center.numpy()).astype(np.float64).T)
    halves = filled_up(ours, 16, 256)[:40].float() @ prepared.halves[:900].float().T
    assert ((halves.double() - exact).abs() <= rough[:, None]).all()
    singles = ours @ (prepared.exact - prepared.center).T
    assert ((singles.double() - exact).abs() <= fine[:, None]).all()


@pytest.mark.parametrize(
    ("width", "filled"), [(1, 16), (16, 16), (100, 128), (128, 128), (256, 256), (257, 512), (800, 1024)]
)
def test_vectors_are_padded_to_whole_steps(width: int, filled: int) -> None:
    halves = filled_up(torch.ones(3, width), 128, 256)
    assert halves.shape == (128, filled)
    assert halves.sum() == 3 * width
