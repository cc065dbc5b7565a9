"""Optional modules of the user tower: the inputs of users' attributes and of their queries."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


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
