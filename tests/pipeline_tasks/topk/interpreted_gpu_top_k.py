"""Compares the GPU's top-k, interpreted on the CPU, with the dense one. test_gpu_top_k.py sets TRITON_INTERPRET=1."""

import numpy as np
import pytest
import torch

from pipeline_tasks.topk import gpu_items
from pipeline_tasks.topk import gpu_top_k as module
from pipeline_tasks.topk.arrays import Exclusions, Vectors, join_parts
from pipeline_tasks.topk.top_k import _parts as dense_parts
from pipeline_tasks.topk.top_k import top_k, use_scoring_device
from tests.pipeline_tasks.topk.test_top_k import exclusions_of


def settled_alike(users: Vectors, items: Vectors, k: int, banned: Exclusions | None, at_least: float) -> None:
    """Raise AssertionError where a proven user differs, or where fewer than a share of the users are proven."""
    dense = join_parts(list(dense_parts(users, items, k, banned, 64)))
    settled = 0
    for first, counts, columns, scores in module.gpu_top_k(users, k, banned, module.prepare_on(items, "cpu")):
        ends = np.concatenate([[0], np.cumsum(np.maximum(counts, 0))])
        for row, count in enumerate(counts):
            if count < 0:
                continue
            start, end = dense.starts[first + row], dense.starts[first + row + 1]
            assert np.array_equal(columns[ends[row] : ends[row + 1]], dense.items[start:end]), (row, count)
            assert np.array_equal(scores[ends[row] : ends[row + 1]], dense.scores[start:end]), (row, count)
            settled += 1
    assert settled >= at_least * len(users), f"{settled} of {len(users)} settled"


def main() -> None:
    """Check six problems."""
    rng = np.random.default_rng(1)
    draw = rng.standard_normal
    users, items = draw((24, 40), np.float32), draw((3_000, 40), np.float32)
    banned = exclusions_of([set(rng.integers(0, 3_000, 20).tolist()) for _ in users])
    settled_alike(users, items, 10, None, 0.9)
    # The best items of each user are excluded too.
    best = [set(np.argsort(-row)[:8].tolist()) for row in users @ items.T]
    settled_alike(users, items + 5, 10, exclusions_of(best), 0.9)
    # Vectors longer than a step, and a catalog that ends within a tile.
    settled_alike(draw((10, 300), np.float32), draw((1_111, 300), np.float32), 5, None, 0.9)
    # Many ties: unproven users are left to the CPU, and the others are right.
    few = rng.choice([-1.0, 1.0], (1_000, 6)).astype(np.float32)
    settled_alike(few[:10], few, 5, exclusions_of([{1, 2}] * 10), 0.0)
    # Fewer items than k + slack.
    settled_alike(users[:10], items[:30], 10, Exclusions(banned.starts[:11] * 0, banned.items[:0]), 0.9)
    # Users that are left to the CPU join the others.
    with use_scoring_device("cpu:0"):
        mixed = top_k(few[:10], few, 5)
    dense = join_parts(list(dense_parts(few[:10], few, 5, None, 64)))
    assert np.array_equal(mixed.items, dense.items)
    assert np.array_equal(mixed.scores, dense.scores)
    print("6 problems settled alike")


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu_items, "HALF", torch.float16)
        patch.setattr(module, "_USERS", 16)
        patch.setattr(module, "_SHARE", 4)
        patch.setattr("pipeline_tasks.topk.top_k.REPAID", 0)
        patch.setattr("pipeline_tasks.topk.top_k.SMALL_CALL", 0)
        main()
