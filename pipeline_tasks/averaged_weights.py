"""An average over the weights of all steps, the later the more: what is judged and kept in place of the last step's."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch import nn

POWER: Final = 20
"""Step t counts about t^20: the last twentieth of a training makes most of the average, however long it is."""


class AveragedWeights:
    """Polynomial-decay averaging (Shamir and Zhang 2013, Stochastic Gradient Descent for Non-smooth Optimization).

    An exponential average would need a horizon that fits the number of steps; this one grows with them. 1 ms a step for
    3.6 million parameters.
    """

    def __init__(self, model: nn.Module, power: int = POWER) -> None:
        self.parameters, self.power, self.steps = list(model.parameters()), power, 0
        self.mean = [one.detach().clone() for one in self.parameters]

    def add(self) -> None:
        """Count the present weights in: call it after every step."""
        self.steps += 1
        share = (self.power + 1) / (self.steps + self.power)
        torch._foreach_lerp_(self.mean, [one.detach() for one in self.parameters], share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model holds the average inside, its own weights again afterwards."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def swap(self) -> None:
        """Exchange the model's weights and the average, without copying."""
        for place, one in enumerate(self.parameters):
            one.data, self.mean[place] = self.mean[place], one.data
