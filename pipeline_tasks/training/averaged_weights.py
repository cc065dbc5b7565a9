"""An average of the weights of all steps, which is validated and kept in place of the last weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import torch
from torch import Tensor, nn

POWER: Final = 20
"""Step t has a weight of about t^20, so the last twentieth of a training makes most of the average."""


class AveragedWeights:
    """Polynomial-decay averaging (Shamir and Zhang 2013, Stochastic Gradient Descent for Non-smooth Optimization).

    Unlike an exponential average, it needs no horizon that fits the number of steps. It takes 1 ms a step for 3.6
    million parameters.
    """

    def __init__(self, model: nn.Module, power: int = POWER) -> None:
        self.names, self.parameters = zip(*model.named_parameters(), strict=True)
        self.power, self.steps, self.inside = power, 0, False
        self.mean = [one.detach().clone() for one in self.parameters]

    def add(self) -> None:
        """Add the current weights to the average; to be called after every step."""
        self.steps += 1
        share = (self.power + 1) / (self.steps + self.power)
        torch._foreach_lerp_(self.mean, self._current(), share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the averaged weights within the context, and its own weights afterwards."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the current weights and their average by parameter name, inside `applied` as outside."""
        held, other = (dict(zip(self.names, kept, strict=True)) for kept in (self._current(), self.mean))
        return (other, held) if self.inside else (held, other)

    def restore(self, mean: Mapping[str, Tensor], steps: int) -> None:
        """Restore the average that `state` returned."""
        self.mean, self.steps = (
            [mean[name].to(one.device) for name, one in zip(self.names, self.parameters, strict=True)],
            steps,
        )

    def swap(self) -> None:
        """Exchange the model's weights and the average without a copy."""
        self.inside = not self.inside
        for place, one in enumerate(self.parameters):
            one.data, self.mean[place] = self.mean[place], one.data

    def _current(self) -> list[Tensor]:
        return [one.detach() for one in self.parameters]
