"""SASRec's network, as its authors released it (Kang and McAuley 2018, Self-Attentive Sequential Recommendation).

The input is item plus learned position embeddings. A causal block has attention with normed queries and unnormed keys
and values, without an output projection, and then a two-layer ReLU network of the same width; each is added to its
normed input. Scores are dot products with the item table. The network reads items only: no text, times or event types.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class SasrecOptions:
    """Hyperparameters; the defaults are the paper's for Amazon reviews, except for the width (50 there)."""

    epochs: int = 30
    """Amazon Beauty does not improve on validation after 26."""
    dimension: int = 64
    blocks: int = 2
    heads: int = 1
    dropout: float = 0.5
    max_length: int = 50
    batch_positions: int = 1_024
    """Positions of a batch with padding; about 128 histories of Amazon Beauty."""
    learning_rate: float = 1e-3
    seed: int = 1


class SasrecBlock(nn.Module):
    """Causal self-attention and a position-wise network, each added to its normed input."""

    def __init__(self, options: SasrecOptions) -> None:
        super().__init__()
        width = options.dimension
        self.heads = options.heads
        self.norms = nn.ModuleList([nn.LayerNorm(width, eps=1e-8) for _ in range(2)])
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, states: Tensor) -> Tensor:
        """(batch, length, width) in and out."""
        normed = self.norms[0](states)
        seen = self.norms[1](normed + self._attend(normed, states))
        inner = self.dropout(torch.relu(self.inner(seen)))
        return torch.as_tensor(seen + self.dropout(self.outer(inner)))

    def _attend(self, normed: Tensor, states: Tensor) -> Tensor:
        shape = (*states.shape[:2], self.heads, -1)
        query, key, value = (
            part.reshape(shape).transpose(1, 2) for part in (self.query(normed), self.key(states), self.value(states))
        )
        later = torch.ones(states.shape[1], states.shape[1], dtype=torch.bool, device=states.device).triu(1)
        levels = (query @ key.transpose(2, 3) / query.shape[3] ** 0.5).masked_fill(later, -torch.inf)
        seen = self.dropout(levels.softmax(dim=3)) @ value
        return torch.as_tensor(seen.transpose(1, 2).reshape(states.shape))


class Sasrec(nn.Module):
    """The network. Histories are left-aligned, so that the causal mask also hides the padding."""

    def __init__(self, n_items: int, options: SasrecOptions) -> None:
        super().__init__()
        self.items = nn.Embedding(n_items, options.dimension)
        self.positions = nn.Embedding(options.max_length, options.dimension)
        self.blocks = nn.ModuleList([SasrecBlock(options) for _ in range(options.blocks)])
        self.norm, self.dropout = nn.LayerNorm(options.dimension, eps=1e-8), nn.Dropout(options.dropout)
        for weight in self.parameters():
            if weight.dim() == 2:
                nn.init.xavier_uniform_(weight)

    def forward(self, windows: Tensor) -> Tensor:
        """Return (batch, length, width) states of windows (batch, length) of item indices, -1 where padded.

        Positions are counted back from the last item, as in the paper, where histories end at the last position.
        """
        lengths = (windows >= 0).sum(dim=1, keepdim=True)
        back = (lengths - 1 - torch.arange(windows.shape[1], device=windows.device)).clamp(min=0)
        scale = self.items.embedding_dim**0.5
        states = self.dropout(self.items(windows.clamp(min=0)) * scale + self.positions(back))
        for block in self.blocks:
            states = block(states)
        return torch.as_tensor(self.norm(states))
