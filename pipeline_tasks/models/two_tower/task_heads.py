"""Task heads on the user tower: each predicts one binary label from the state after a user's last event."""

from typing import Final

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

    def forward(self, states: Tensor, lags: Tensor, items: Tensor, leanings: Tensor | None = None) -> Tensor:
        """Return (k,) log-odds.

        Args:
            states: (k, d) of the user tower.
            lags: (k,) microseconds since the event.
            items: (k, d) item vectors; not used by tasks that are not about items.
            leanings: (k, 2) rating bias of the user and of the item, as log-odds; None if there is none.
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

    def forward(self, states: Tensor, lags: Tensor, items: Tensor, leanings: Tensor | None = None) -> Tensor:
        """Return (k,) log-odds."""
        match = (self.query(states) * items).sum(dim=1) + self.appeal(items).squeeze(1)
        odds: Tensor = super().forward(states, lags, items) + match
        return odds


class RatingHead(ItemHead):
    """Log-odds of a positive label for an item, plus the rating bias of the user and of the item.

    Histories hold which items were rated but not the ratings. Without the bias, the head could not distinguish strict
    users from users who like everything.
    """

    def __init__(self, dimension: int, dropout: float) -> None:
        super().__init__(dimension, dropout)
        self.leaning = nn.Parameter(torch.ones(2))

    def reset(self) -> None:
        """Start with the sum of both biases."""
        nn.init.ones_(self.leaning)

    def forward(self, states: Tensor, lags: Tensor, items: Tensor, leanings: Tensor | None = None) -> Tensor:
        """Return (k,) log-odds."""
        odds = super().forward(states, lags, items)
        return odds if leanings is None else odds + leanings @ self.leaning


def ages(lags: Tensor) -> Tensor:
    """Return (k, 2): log(1 + hours) and log(1 + days) of microseconds (k,)."""
    return torch.stack([torch.log1p(lags / HOUR), torch.log1p(lags / DAY)], dim=1)


HEADS: Final = {"purchase_intent": TaskHead, "session_converts": TaskHead, "click": ItemHead, "rating": RatingHead}
ABOUT_ITEMS: Final = {name for name, head in HEADS.items() if issubclass(head, ItemHead)}
"""Names of the tasks about items."""


def build_heads(names: list[str], dimension: int, dropout: float) -> nn.ModuleDict:
    """Return the heads called `names`; raises ValueError if one does not exist."""
    if unknown := sorted(set(names) - set(HEADS)):
        raise ValueError(f"there is no head called {', '.join(unknown)}: there are {', '.join(HEADS)}")
    return nn.ModuleDict({name: HEADS[name](dimension, dropout) for name in sorted(names)})
