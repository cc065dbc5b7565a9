"""Networks of the task heads: each predicts one binary label from the user tower's state after the last event."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline_tasks.times import DAY, HOUR


class TaskHead(nn.Module):
    """Log-odds of a positive label, from the state and its age."""

    def __init__(self, dimension: int, dropout: float) -> None:
        super().__init__()
        self.rate = dropout
        self.inward = nn.Linear(dimension + 2, max(4, dimension // 2))
        self.outward = nn.Linear(max(4, dimension // 2), 1)

    def reset(self) -> None:
        """Set weights of a head's own to their start values."""

    def forward(self, states: Tensor, lags: Tensor, items: Tensor, rating_bias: Tensor | None = None) -> Tensor:
        """Return (k,) log-odds.

        Args:
            states: (k, d) of the user tower.
            lags: (k,) microseconds since the event.
            items: (k, d) item vectors; not used by tasks that are not about items.
            rating_bias: (k, 2) rating bias of the user and of the item, as log-odds; None if there is none.
        """
        hidden = functional.gelu(self.inward(torch.cat([states, ages(lags)], dim=1)))
        odds: Tensor = self.outward(functional.dropout(hidden, self.rate, self.training)).squeeze(1)
        return odds


class ItemHead(TaskHead):
    """Log-odds of a positive label for an item: its match with the state, plus the log-odds of the state alone."""

    def __init__(self, dimension: int, dropout: float) -> None:
        super().__init__(dimension, dropout)
        self.query = nn.Linear(dimension, dimension, bias=False)
        self.appeal = nn.Linear(dimension, 1, bias=False)

    def forward(self, states: Tensor, lags: Tensor, items: Tensor, rating_bias: Tensor | None = None) -> Tensor:
        """Return (k,) log-odds."""
        match = (self.query(states) * items).sum(dim=1) + self.appeal(items).squeeze(1)
        odds: Tensor = super().forward(states, lags, items) + match
        return odds


def ages(lags: Tensor) -> Tensor:
    """Return (k, 2): log(1 + hours) and log(1 + days) of microseconds (k,)."""
    return torch.stack([torch.log1p(lags / HOUR), torch.log1p(lags / DAY)], dim=1)
