"""What tests of the heads train with: a catalog of twenty items, four weeks, and a model of a second."""

from typing import Final

import numpy as np

from pipeline_tasks.times import DAY
from pipeline_tasks.training.fit_options import FitOptions

DAYS, ITEMS = 28, 20
CUT: Final = 20 * DAY
TEXTS = np.random.default_rng(9).standard_normal((ITEMS, 12)).astype(np.float32)


def options_for(task_weights: dict[str, float]) -> FitOptions:
    """Return the options of a model that learns these tasks."""
    return FitOptions(
        epochs=6,
        dimension=16,
        text_dimension=8,
        max_length=40,
        linear_rank=4,
        learning_rate=1e-2,
        batch_positions=128,
        task_weights=task_weights,
    )
