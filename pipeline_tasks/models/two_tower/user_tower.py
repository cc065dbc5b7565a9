"""The user tower: a causal transformer (post-LN) over a history's tokens, with an output of trend weights.

Each member of an ensemble is one such tower over its own slice of every token.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline_tasks.models.two_tower.two_tower_config import TwoTowerConfig


class ProfileInput(nn.Module):
    """Adds a user's attributes to a token before the first event and to every event's token.

    With the first token alone, attention learns to use it late (docs/experiments/user-inputs.md).
    """

    def __init__(self, values: int, width: int) -> None:
        super().__init__()
        # Number 0 means no value; its vector stays 0.
        self.values = nn.Embedding(values + 1, width, padding_idx=0)
        self.start = nn.Embedding(1, width)

    def forward(self, tokens: Tensor, profiles: Tensor, part: slice) -> Tensor:
        """Return (batch, 1 + length, d).

        Args:
            tokens: (batch, length, d) of events.
            profiles: (batch, most) numbers of attributes, 0 for none.
            part: the columns of the embeddings that the tokens hold.
        """
        first = self.start.weight[:, part].expand(len(profiles), -1).unsqueeze(1)
        extended = torch.cat([first, tokens], dim=1)
        if not profiles.shape[1]:
            return extended
        attributes = functional.embedding_bag(profiles, self.values.weight, mode="sum", padding_idx=0)
        return extended + attributes[:, part].unsqueeze(1)


class QueryInput(nn.Module):
    """Adds a query to the token of the event that it led to, or to the state if it has not led to an event yet."""

    def __init__(self, text_width: int, width: int, trends: int) -> None:
        super().__init__()
        self.led = nn.Linear(text_width, width, bias=False)
        self.last = nn.Linear(text_width, width + trends, bias=False)

    @torch.no_grad()
    def start_from(self, text_projection: Tensor) -> None:
        """Set the start weights from the item tower's `text_projection` (d, text).

        A query that led to an event is added to an item vector and has its scale. One that has not is added to a state
        with values of scale 1, and does not change the trend weights.
        """
        self.led.weight.copy_(text_projection)
        size = text_projection.norm(dim=1).mean().clamp(min=1e-9)
        self.last.weight.zero_()
        self.last.weight[: len(text_projection)] = text_projection / size


def whiten_queries(raw: Tensor, center: Tensor, turn: Tensor) -> Tensor:
    """Return (n, text): queries whitened like items' texts and scaled to their mean length; 0 for no query.

    Args:
        raw: (n, width of the text encoder), NaN for no query.
        center: of the items' blocks, text first; the image block of a query is at its center.
        turn: the whitening map.
    """
    whole = center.repeat(len(raw), 1)
    whole[:, : raw.shape[1]] = torch.where(raw.isnan(), whole[:, : raw.shape[1]], raw)
    whitened = (whole - center) @ turn
    length = whitened.norm(dim=1, keepdim=True)
    # Queries are short and unlike titles, so whitening alone makes some vectors several times as long.
    scaled: Tensor = whitened / length.clamp(min=1e-9) * math.sqrt(turn.shape[1])
    return scaled


class UserTower(nn.Module):
    """One member: d is the width of a member, h the number of trends."""

    def __init__(self, config: TwoTowerConfig) -> None:
        super().__init__()
        self.rate = config.dropout
        self.enter = nn.LayerNorm(config.member_width)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.layers)])
        self.trend_weights = nn.Linear(config.member_width, len(config.horizons))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return (batch, length, d) states and (batch, length, h) trend weights of tokens (batch, length, d)."""
        tokens = fast_dropout(self.enter(tokens), self.rate, self.training)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens, self.trend_weights(tokens)


class Block(nn.Module):
    """Causal self-attention and a feed-forward layer, each normalized after its residual sum."""

    def __init__(self, config: TwoTowerConfig) -> None:
        super().__init__()
        width = config.member_width
        self.heads = config.heads
        self.rate = config.dropout
        self.inward = nn.Linear(width, 3 * width)
        self.outward = nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the shape of tokens (batch, length, d); a position attends to itself and earlier positions."""
        heads = self.inward(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = causal_attention(heads[0], heads[1], heads[2])
        mixed = self.outward(mixed.transpose(1, 2).flatten(2))
        tokens = self.norms[0](tokens + fast_dropout(mixed, self.rate, self.training))
        fed = fast_dropout(self.feed(tokens), self.rate, self.training)
        return self.norms[1](tokens + fed)  # type: ignore[no-any-return]


def causal_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Return the attention of three tensors (batch, heads, length, d), in the same shape, with a causal mask."""
    if queries.device.type != "cpu":
        return functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
    # torch's kernel takes 20.7 ms in bfloat16 for 40 x 4 x 50 x 32, forward and backward on one core; this one 3.3 ms.
    length = queries.shape[-2]
    scores = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-1, -2)
    later = torch.full((length, length), torch.finfo(scores.dtype).min, dtype=scores.dtype).triu(1)
    mixed: Tensor = (scores + later).softmax(dim=-1).to(values.dtype) @ values
    return mixed


def fast_dropout(values: Tensor, rate: float, training: bool) -> Tensor:
    """Return `values` with a share `rate` set to zero in training, and the rest scaled up; on a CPU in steps of 1/256.

    On a CPU, one random byte decides about a value: 1,700 x 256 take 1.2 ms, torch's Bernoulli draws 6.7.
    """
    if values.device.type != "cpu" or not training or not rate:
        return functional.dropout(values, rate, training)
    dropped = min(round(rate * 256), 255)
    draws = torch.empty((values.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
    kept = draws.view(torch.uint8)[: values.numel()].view(values.shape) >= dropped
    return values * kept * (256 / (256 - dropped))
