"""Matching functions: the score of a user's state and an item's vector.

All but the additive matching fold both sides into vectors with a dot product as score, so the bulk scoring job only
multiplies. A fold drops only terms that are equal for all items of a user, which change neither softmax nor order.
"""

from typing import Final

import torch
from torch import Tensor, nn

from pipeline_tasks.models.two_tower.catalog_loss import PopularityLevels, additive_loss, catalog_loss


class DotMatching(nn.Module):
    """u . v."""

    unknown_user = 0.0
    """Value of every column of the folded state of an unknown user, for whom all items must score equal."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.width = dimension
        """Width of both sides after the fold."""

    def users(self, states: Tensor) -> Tensor:
        """(..., d) -> (..., width)."""
        return states

    def items(self, vectors: Tensor) -> Tensor:
        """(n, d) -> (n, width)."""
        return vectors

    def loss(
        self,
        users: Tensor,
        items: Tensor,
        targets: Tensor,
        weights: Tensor,
        popularity: PopularityLevels | None = None,
        offsets: Tensor | None = None,
    ) -> Tensor:
        """Return the catalog loss of folded users (n, width + h) and items (catalog, width); see `catalog_loss`."""
        return catalog_loss(users, items, targets, weights, popularity, offsets)

    def reset(self) -> None:
        """Set the weights to their start values."""


class WeightedDotMatching(DotMatching):
    """(w * u) . v: a learned weight per dimension."""

    def __init__(self, dimension: int) -> None:
        super().__init__(dimension)
        self.weights = nn.Parameter(torch.ones(dimension))

    def users(self, states: Tensor) -> Tensor:
        """(..., d) -> (..., d)."""
        return states * self.weights

    def reset(self) -> None:
        """Start with the plain dot product."""
        nn.init.ones_(self.weights)


class InverseDistanceMatching(DotMatching):
    """-|u - v|^2 as logits (Snell et al. 2017, Prototypical Networks); 1 / (1 + |u - v|) gives the same order.

    |u|^2 is dropped, which leaves 2 u . v - |v|^2: a dot product with one more dimension.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__(dimension)
        self.width = dimension + 1

    def users(self, states: Tensor) -> Tensor:
        """(..., d) -> (..., d + 1)."""
        return torch.cat([2 * states, -torch.ones_like(states[..., :1])], dim=-1)

    def items(self, vectors: Tensor) -> Tensor:
        """(n, d) -> (n, d + 1)."""
        return torch.cat([vectors, vectors.square().sum(dim=-1, keepdim=True)], dim=-1)


class AdditiveMatching(DotMatching):
    """a . tanh(W_u u + b + W_i v) (Bahdanau et al. 2015). It is not a dot product; `pair_scores` ranks by it."""

    # The tanh of so large a value is 1 for every item.
    unknown_user = 1e4

    def __init__(self, dimension: int) -> None:
        super().__init__(dimension)
        # Each hidden unit costs one tanh per pair of user and item.
        self.width = max(16, dimension // 4)
        self.user_part = nn.Linear(dimension, self.width)
        self.item_part = nn.Linear(dimension, self.width, bias=False)
        self.weights = nn.Parameter(torch.zeros(self.width))

    def users(self, states: Tensor) -> Tensor:
        """(..., d) -> (..., width): the user's term within the tanh."""
        hidden: Tensor = self.user_part(states)
        return hidden

    def items(self, vectors: Tensor) -> Tensor:
        """(n, d) -> (n, width): the item's term within the tanh."""
        hidden: Tensor = self.item_part(vectors)
        return hidden

    def loss(
        self,
        users: Tensor,
        items: Tensor,
        targets: Tensor,
        weights: Tensor,
        popularity: PopularityLevels | None = None,
        offsets: Tensor | None = None,
    ) -> Tensor:
        """Return the catalog loss, in chunks; see `additive_loss`."""
        return additive_loss(users, items, self.weights, targets, weights, popularity, offsets)

    def reset(self) -> None:
        """Start in the nonlinear range of tanh; in its linear range all users would get the same order."""
        nn.init.normal_(self.user_part.weight, std=self.user_part.in_features**-0.5)
        nn.init.normal_(self.item_part.weight, std=self.item_part.in_features**-0.5)
        nn.init.normal_(self.weights, std=0.5)


MATCHINGS: Final = {
    "dot": DotMatching,
    "weighted_dot": WeightedDotMatching,
    "inverse_distance": InverseDistanceMatching,
    "additive": AdditiveMatching,
}


def build_matching(name: str, dimension: int) -> DotMatching:
    """Return the matching called `name`; raises ValueError if there is none."""
    if name not in MATCHINGS:
        raise ValueError(f"matching {name!r} is unknown: choose among {', '.join(MATCHINGS)}")
    return MATCHINGS[name](dimension)
