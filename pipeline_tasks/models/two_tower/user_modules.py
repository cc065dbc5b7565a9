"""Weights of the user tower that only some logs give reason for: of users' attributes, and of what they typed."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class ProfileInput(nn.Module):
    """A user's attributes, added to a token before the first event and to every event's token.

    Attention alone learns to look back at the first token late (docs/experiments/user-inputs.md).
    """

    def __init__(self, values: int, width: int) -> None:
        super().__init__()
        # Number 0 is no value, and stays 0.
        self.values = nn.Embedding(values + 1, width, padding_idx=0)
        self.start = nn.Embedding(1, width)

    def forward(self, tokens: Tensor, profiles: Tensor, part: slice) -> Tensor:
        """(batch, length, d) tokens of events, of which d may be a part, and (batch, most) numbers of attributes, 0 for
        none -> (batch, 1 + length, d)."""
        first = self.start.weight[:, part].expand(len(profiles), -1).unsqueeze(1)
        led = torch.cat([first, tokens], dim=1)
        if not profiles.shape[1]:
            return led
        said = functional.embedding_bag(profiles, self.values.weight, mode="sum", padding_idx=0)
        return led + said[:, part].unsqueeze(1)


class QueryInput(nn.Module):
    """How queries enter: into the token of the event that each led to, and into the state where one has led to none."""

    def __init__(self, text_width: int, width: int, trends: int) -> None:
        super().__init__()
        self.led = nn.Linear(text_width, width, bias=False)
        self.last = nn.Linear(text_width, width + trends, bias=False)

    @torch.no_grad()
    def start_from(self, text_projection: Tensor) -> None:
        """Read a query as the item tower, (d, text), reads a title.

        A query that led to an event stands beside the item's vector, in its size; one that led to none stands beside a
        state, whose numbers are of size 1, and says nothing of trends yet.
        """
        self.led.weight.copy_(text_projection)
        size = text_projection.norm(dim=1).mean().clamp(min=1e-9)
        self.last.weight.zero_()
        self.last.weight[: len(text_projection)] = text_projection / size


def whiten_queries(raw: Tensor, center: Tensor, turn: Tensor) -> Tensor:
    """(n, width of the text encoder), NaN for none -> (n, text): whitened as items' texts are, of their mean length.

    center, turn: of the items' blocks, of which text is the first; queries have no pictures, and stand at the center
    of those. No query, or one where the items have no texts, is 0.
    """
    whole = center.repeat(len(raw), 1)
    whole[:, : raw.shape[1]] = torch.where(raw.isnan(), whole[:, : raw.shape[1]], raw)
    whitened = (whole - center) @ turn
    length = whitened.norm(dim=1, keepdim=True)
    # Queries are short and unlike titles: whitening alone makes some of them several times as long.
    scaled: Tensor = whitened / length.clamp(min=1e-9) * math.sqrt(turn.shape[1])
    return scaled
