"""An average over the weights of all steps, the later the more: what is judged and kept in place of the last step's."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import torch
from torch import Tensor, nn

POWER: Final = 20
"""Step t counts about t^20: the last twentieth of a training makes most of the average, however long it is."""


class AveragedWeights:
    """Polynomial-decay averaging (Shamir and Zhang 2013, Stochastic Gradient Descent for Non-smooth Optimization).

    An exponential average would need a horizon that fits the number of steps; this one grows with them. 1 ms a step for
    3.6 million parameters.
    """

    def __init__(self, model: nn.Module, power: int = POWER) -> None:
        self.names, self.parameters = zip(*model.named_parameters(), strict=True)
        self.power, self.steps, self.inside = power, 0, False
        self.mean = [one.detach().clone() for one in self.parameters]

    def add(self) -> None:
        """Count the present weights in: call it after every step."""
        self.steps += 1
        share = (self.power + 1) / (self.steps + self.power)
        torch._foreach_lerp_(self.mean, self._held(), share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model holds the average inside, its own weights again afterwards."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the present weights and their average by the model's names, whichever of both it holds."""
        held, other = (dict(zip(self.names, kept, strict=True)) for kept in (self._held(), self.mean))
        return (other, held) if self.inside else (held, other)

    def restore(self, mean: Mapping[str, Tensor], steps: int) -> None:
        """Go on from an average that `state` gave."""
        self.mean, self.steps = (
            [mean[name].to(one.device) for name, one in zip(self.names, self.parameters, strict=True)],
            steps,
        )

    def swap(self) -> None:
        """Exchange the model's weights and the average, without copying."""
        self.inside = not self.inside
        for place, one in enumerate(self.parameters):
            one.data, self.mean[place] = self.mean[place], one.data

    def _held(self) -> list[Tensor]:
        return [one.detach() for one in self.parameters]
