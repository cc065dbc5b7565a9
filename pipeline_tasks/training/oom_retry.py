"""Says what to do where a GPU has no memory for what no smaller part of a batch makes smaller: a step's items."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pipeline_tasks.training_error import TrainingError


@contextmanager
def explain_oom(n_items: int) -> Iterator[None]:
    """Raise TrainingError where a GPU runs out of memory within, which holds the vectors of so many items."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"the GPU is out of memory with the vectors of {n_items:,} items and their gradients: set "
            "training.negatives to fewer items (sampled softmax), lower training.dimension, or train on the CPU "
            "(CUDA_VISIBLE_DEVICES=)"
        ) from error
