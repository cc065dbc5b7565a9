"""Heads on the user tower: each answers one question with yes or no, from the state after a user's last event."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline_tasks.time_units import DAY, HOUR


class TaskHead(nn.Module):
    """Log-odds of yes, of the state and of how long ago it was."""

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
            items: (k, d) item vectors; not looked at by a question that is about no item.
            leanings: (k, 2) of earlier answers, log-odds of the user and of the item; None where there are none.
        """
        hidden = functional.gelu(self.inward(torch.cat([states, ages(lags)], dim=1)))
        odds: Tensor = self.outward(functional.dropout(hidden, self.rate, self.training)).squeeze(1)
        return odds


class ItemHead(TaskHead):
    """Log-odds of yes about an item: how it matches the state, beside how ready the user is for anything."""

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
    """Log-odds of yes about an item, beside what earlier answers say of the user and of the item.

    Histories say what was rated, not how: without the answers, the head cannot tell who is strict from who likes all.
    """

    def __init__(self, dimension: int, dropout: float) -> None:
        super().__init__(dimension, dropout)
        self.leaning = nn.Parameter(torch.ones(2))

    def reset(self) -> None:
        """Start at the sum of the two."""
        nn.init.ones_(self.leaning)

    def forward(self, states: Tensor, lags: Tensor, items: Tensor, leanings: Tensor | None = None) -> Tensor:
        """Return (k,) log-odds."""
        odds = super().forward(states, lags, items)
        return odds if leanings is None else odds + leanings @ self.leaning


def ages(lags: Tensor) -> Tensor:
    """Return (k, 2) of microseconds (k,): log(1 + hours) and log(1 + days)."""
    return torch.stack([torch.log1p(lags / HOUR), torch.log1p(lags / DAY)], dim=1)


HEADS: Final = {"purchase_intent": TaskHead, "session_converts": TaskHead, "click": ItemHead, "rating": RatingHead}
ABOUT_ITEMS: Final = {name for name, head in HEADS.items() if issubclass(head, ItemHead)}
"""Whose question is about an item."""


def build_heads(names: list[str], dimension: int, dropout: float) -> nn.ModuleDict:
    """Return the heads called `names`. Raises ValueError where one does not exist."""
    if unknown := sorted(set(names) - set(HEADS)):
        raise ValueError(f"there is no head called {', '.join(unknown)}: there are {', '.join(HEADS)}")
    return nn.ModuleDict({name: HEADS[name](dimension, dropout) for name in sorted(names)})
