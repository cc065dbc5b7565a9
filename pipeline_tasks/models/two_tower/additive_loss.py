"""Softmax cross-entropy over a catalog with additive matching, computed in chunks of positions."""

from typing import Final

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pipeline_tasks.models.two_tower.catalog_loss import PopularityLevels

_CELLS: Final = 4_000_000
"""Maximum size of the hidden layer (positions x items x width): 16 MB, and as much again for the gradient."""


def additive_loss(
    users: Tensor,
    items: Tensor,
    output_weights: Tensor,
    targets: Tensor,
    weights: Tensor,
    popularity: PopularityLevels | None = None,
    offsets: Tensor | None = None,
) -> Tensor:
    """Return the weighted sum of -log softmax(output_weights . tanh(users + items)) at the targets, in float32.

    The hidden layer of a chunk is computed again for its gradient, as storing it takes positions x items x width.

    Args:
        users: (n, a), or (n, a + h) with `popularity`; the last h columns are the weights of its levels.
        items: (catalog, a).
        output_weights: (a,).
        targets: (n, s) item indices.
        weights: (n, s) of each target, 0 for none.
        popularity: levels of the items, added to the logits with the users' weights.
        offsets: (catalog,) added to all logits; the sampling correction of `sampled_items`.
    """
    rows = max(1, _CELLS // (len(items) * len(output_weights)))
    total = torch.zeros((), device=users.device)
    for start in range(0, len(users), rows):
        part = slice(start, start + rows)
        levels = None if popularity is None else popularity.levels[popularity.buckets[part].to(users.device)]
        chunk: Tensor = checkpoint(
            _loss,
            users[part],
            items,
            output_weights,
            targets[part],
            weights[part],
            levels,
            offsets,
            use_reentrant=False,
        )
        total = total + chunk
    return total


def _loss(
    users: Tensor,
    items: Tensor,
    output_weights: Tensor,
    targets: Tensor,
    weights: Tensor,
    levels: Tensor | None,
    offsets: Tensor | None,
) -> Tensor:
    width = len(output_weights)
    hidden = torch.tanh(users[:, None, :width].float() + items.float())
    logits = hidden @ output_weights.float()
    if levels is not None:
        logits = logits + torch.einsum("nh,nch->nc", users[:, width:].float(), levels.float())
    if offsets is not None:
        logits = logits + offsets
    return -(logits.log_softmax(dim=1).gather(1, targets) * weights).sum()
