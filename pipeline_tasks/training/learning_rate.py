"""How the learning rate goes over a training: up, and down to 0 at its end."""

import math
from typing import Literal

Schedule = Literal["cosine", "late"]
"""Falling from the start, for what is soon learned by heart; or constant to the middle and linear from there."""
_WARM_UP = 100


def rate_share(schedule: Schedule, step: int, total: int) -> float:
    """Return the share of the greatest rate at `step` of `total`, after a linear warm-up of 100 steps or a tenth."""
    warm_up = min(_WARM_UP, max(1, total // 10))
    if step < warm_up:
        return (step + 1) / warm_up
    done = (step - warm_up) / max(1, total - warm_up)
    return 0.5 * (1 + math.cos(math.pi * done)) if schedule == "cosine" else min(1.0, 2 * (1 - done))
