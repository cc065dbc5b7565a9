"""The first pass of a large top-k, on the device that scores."""

from collections.abc import Iterator

import numpy as np

from pipeline_tasks.topk.arrays import Block, Exclusions, Vectors
from pipeline_tasks.topk.scoring_device import scoring_device


def fast_blocks(users: Vectors, items: Vectors, k: int, banned: Exclusions | None) -> Iterator[Block]:
    """Yield the best of consecutive users, in order; the caller scores densely whoever is not settled."""
    # Machine code reads rows as they lie.
    items, device = np.ascontiguousarray(items), scoring_device()
    if device == "cpu":
        from pipeline_tasks.topk.fast_top_k import fast_top_k, prepare

        yield from fast_top_k(users, items, k, banned, prepare(users, items, k))
    else:
        from pipeline_tasks.topk.gpu_top_k import gpu_top_k, prepare_on

        yield from gpu_top_k(users, k, banned, prepare_on(items, device))
