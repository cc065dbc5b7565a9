"""How a user's state and an item's vector make one number.

All but the additive matching are dot products of what they fold both sides into: the bulk job multiplies, and knows of
no matching. What a fold drops is the same for all items of a user: it changes neither a softmax nor an order.
"""

from typing import Final

import torch
from torch import Tensor, nn

from pipeline_tasks.models.two_tower.additive_loss import additive_loss
from pipeline_tasks.models.two_tower.catalog_loss import PopularityLevels, catalog_loss


class DotMatching(nn.Module):
    """u . v."""

    nobody = 0.0
    """What every number of the folded state of a user without a history is: no item is nearer than another."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.width = dimension
        """Numbers of both sides once folded."""

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
        """Set the weights to what training starts from."""


class WeightedDotMatching(DotMatching):
    """(w * u) . v: a learned weight per dimension."""

    def __init__(self, dimension: int) -> None:
        super().__init__(dimension)
        self.weights = nn.Parameter(torch.ones(dimension))

    def users(self, states: Tensor) -> Tensor:
        """(..., d) -> (..., d)."""
        return states * self.weights

    def reset(self) -> None:
        """Start as the dot product."""
        nn.init.ones_(self.weights)


class InverseDistanceMatching(DotMatching):
    """-|u - v|^2, as logits (Snell et al. 2017, Prototypical Networks); 1 / (1 + |u - v|) ranks alike.

    |u|^2 is dropped, so what is left is 2 u . v - |v|^2: a dot product of one more dimension.
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
    """a . tanh(W_u u + b + W_i v) (Bahdanau et al. 2015): no dot product, see pair_scores for how it is ranked by."""

    # tanh of so much is 1 whatever is added: the same for every item.
    nobody = 1e4

    def __init__(self, dimension: int) -> None:
        super().__init__(dimension)
        # Every hidden number costs a tanh per pair of user and item.
        self.width = max(16, dimension // 4)
        self.user_part = nn.Linear(dimension, self.width)
        self.item_part = nn.Linear(dimension, self.width, bias=False)
        self.weights = nn.Parameter(torch.zeros(self.width))

    def users(self, states: Tensor) -> Tensor:
        """(..., d) -> (..., width): the user's part within the tanh."""
        hidden: Tensor = self.user_part(states)
        return hidden

    def items(self, vectors: Tensor) -> Tensor:
        """(n, d) -> (n, width): the item's part within the tanh."""
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
        """Start where tanh bends: what is linear in both parts cannot tell one user's order from another's."""
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
    """Return the matching called `name`. Raises ValueError where there is none."""
    if name not in MATCHINGS:
        raise ValueError(f"matching {name!r} is unknown: choose among {', '.join(MATCHINGS)}")
    return MATCHINGS[name](dimension)
