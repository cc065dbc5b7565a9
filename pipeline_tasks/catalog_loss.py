"""Softmax cross-entropy over the whole catalog, forward and backward fused, in chunks of rows.

The logits of all positions at once would be positions x items x 4 bytes (1.5 GB for 100,000 x 3,700): only one chunk
of them exists at a time, and its gradient is made while it is there.
"""

from typing import Any

import torch
from torch import Tensor

_CHUNK_CELLS = 2_000_000
"""Logits held at a time: 8 MB."""


class _CatalogLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, users: Tensor, items: Tensor, targets: Tensor, weights: Tensor) -> Tensor:  # noqa: ANN401
        rows = max(1, _CHUNK_CELLS // len(items))
        user_gradient = torch.empty_like(users)
        item_gradient = torch.zeros_like(items, dtype=torch.float32)
        loss = torch.zeros((), device=users.device)
        for start in range(0, len(users), rows):
            part = slice(start, start + rows)
            shares = (users[part] @ items.T).softmax(dim=1, dtype=torch.float32)
            weight = weights[part]
            # 1e-30: a target that the model holds impossible must cost much, not infinity.
            loss -= (weight * shares.gather(1, targets[part]).clamp(min=1e-30).log()).sum()
            gradient = shares.mul_(weight.sum(dim=1, keepdim=True))
            gradient = gradient.scatter_add_(1, targets[part], -weight).to(users.dtype)
            user_gradient[part] = gradient @ items
            item_gradient += gradient.T @ users[part]
        ctx.save_for_backward(user_gradient, item_gradient.to(items.dtype))
        return loss

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, Tensor, None, None]:  # noqa: ANN401
        user_gradient, item_gradient = ctx.saved_tensors
        return (
            user_gradient * grad[0].to(user_gradient.dtype),
            item_gradient * grad[0].to(item_gradient.dtype),
            None,
            None,
        )


def catalog_loss(users: Tensor, items: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted sum of -log softmax(users @ items.T) at the targets.

    Args:
        users: (n, d). items: (catalog, d), of one type: in bfloat16 the products are, the softmax is not.
        targets: (n, s) item indices, several answers to one position.
        weights: (n, s) of each answer, 0 where there is none; divide by their sum outside for a mean.
    """
    loss: Tensor = _CatalogLoss.apply(users, items, targets, weights)  # type: ignore[no-untyped-call]
    return loss
