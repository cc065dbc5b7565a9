"""The optimizer of stage 2 and its schedule, as something that can be written down and taken up again."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from pipeline_tasks.fit_options import FitOptions

GREATEST_NORM = 5.0
"""Of a step's gradient; what is longer is shortened to it."""


class TrainingOptimizer:
    """AdamW, its rate warmed up and then lowered along a cosine over the steps that are planned."""

    def __init__(self, model: nn.Module, options: FitOptions) -> None:
        self.parameters = [weight for weight in model.parameters() if weight.requires_grad]
        self.rate, self.taken, self.planned = options.learning_rate, 0, 0
        self._adam = torch.optim.AdamW(
            self.parameters, lr=self.rate, betas=(0.9, 0.98), weight_decay=options.weight_decay
        )

    def clear(self) -> None:
        """Forget all gradients."""
        self._adam.zero_grad()

    def step(self) -> bool:
        """Take one step; return False, and take none, where the gradient is not finite."""
        norm = nn.utils.clip_grad_norm_(self.parameters, GREATEST_NORM)
        if not math.isfinite(norm.item()):
            return False
        for group in self._adam.param_groups:
            group["lr"] = self.rate * share_of_rate(self.taken, self.planned)
        self._adam.step()
        self.taken += 1
        return True

    def state(self) -> tuple[dict[str, Tensor], dict[str, int]]:
        """Return the moments, and how far the schedule is."""
        moments = self._adam.state_dict()["state"]
        tensors = {f"{place}.{name}": value for place, kept in moments.items() for name, value in kept.items()}
        return tensors, {"taken": self.taken, "planned": self.planned}

    def restore(self, tensors: dict[str, Tensor], progress: dict[str, int]) -> None:
        """Go on from what `state` gave."""
        moments: dict[int, dict[str, Any]] = {}
        for name, value in tensors.items():
            place, kind = name.split(".")
            moments.setdefault(int(place), {})[kind] = value
        self._adam.load_state_dict({**self._adam.state_dict(), "state": moments})
        self.taken, self.planned = progress["taken"], progress["planned"]


def share_of_rate(step: int, total: int, warm_up: int = 100) -> float:
    """Return the share of the full learning rate at a step (from 0) of `total`."""
    warm_up = min(warm_up, max(1, total // 10))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, total - warm_up)))
