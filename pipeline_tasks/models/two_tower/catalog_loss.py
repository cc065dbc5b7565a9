"""Softmax cross-entropy over the whole catalog, forward and backward fused, in chunks of rows.

The logits of all positions at once would be positions x items x 4 bytes (1.5 GB for 100,000 x 3,700): only one chunk
of them exists at a time, and its gradient is made while it is there.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

_CACHED_ROWS = 256
"""Rows of logits at a time on a CPU: 6 MB in bfloat16 for 12,101 items."""
_BLOCK_ROWS = 512
"""Rows whose gradients share one product: 2,048 x 12,101 x 128 in bfloat16 takes 46 ms so on two cores, with products
of 64 rows 55 ms, and 124 ms with everything in chunks of 1,024."""
_DEVICE_CELLS = 64_000_000
"""Logits held at a time on a GPU: 256 MB."""


class PopularityLevels(NamedTuple):
    """What is the same for everybody at a moment: added to the logits, not learned."""

    levels: Tensor
    """(moments, items, h) how much each item is in demand."""
    moments: Tensor
    """(n,) of each position, on the CPU, ascending: positions of one moment share their levels."""


class _CatalogLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        users: Tensor,
        items: Tensor,
        levels: Tensor,
        moments: Tensor,
        offsets: Tensor | None,
        targets: Tensor,
        weights: Tensor,
    ) -> Tensor:
        width = items.shape[1]
        own, pull = users[:, :width].contiguous(), users[:, width:].contiguous()
        user_gradient = torch.empty_like(users)
        item_gradient = torch.zeros_like(items, dtype=torch.float32)
        loss = torch.zeros((), device=users.device)
        totals = weights.sum(dim=1, keepdim=True)
        # Of each row's answers: the rows' totals are applied to (n, d) at the end, and not to (n, items).
        parts = (weights / totals.clamp(min=1e-30)).to(users.dtype)
        rows, block = _rows(users.device, len(items))
        gradient = torch.empty((min(block, len(users)), len(items)), dtype=users.dtype, device=users.device)
        for first in range(0, len(users), block):
            whole = slice(first, min(first + block, len(users)))
            for part, moment in _chunks(moments, whole, rows):
                logits = own[part] @ items.T
                if len(levels):
                    logits.addmm_(pull[part], levels[moment].T)
                if offsets is not None:
                    logits += offsets
                shares = gradient[part.start - first : part.stop - first]
                # Summed in float32, and rounded to the type of the products that follow.
                torch.softmax(logits, dim=1, out=shares)
                # 1e-30: a target that the model holds impossible must cost much, not infinity.
                loss -= (weights[part] * shares.gather(1, targets[part]).float().clamp(min=1e-30).log()).sum()
                shares.scatter_add_(1, targets[part], -parts[part])
                if len(levels):
                    user_gradient[part, width:] = shares @ levels[moment]
            used, scale = gradient[: whole.stop - first], totals[whole].to(users.dtype)
            user_gradient[whole, :width] = used @ items
            item_gradient += used.T @ (own[whole] * scale)
        user_gradient *= totals.to(users.dtype)
        ctx.save_for_backward(user_gradient, item_gradient.to(items.dtype))
        return loss

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        user_gradient, item_gradient = ctx.saved_tensors
        users = user_gradient * grad[0].to(user_gradient.dtype)
        return users, item_gradient * grad[0].to(item_gradient.dtype), None, None, None, None, None


def catalog_loss(
    users: Tensor,
    items: Tensor,
    targets: Tensor,
    weights: Tensor,
    popularity: PopularityLevels | None = None,
    offsets: Tensor | None = None,
) -> Tensor:
    """Return the weighted sum of -log softmax(users @ items.T) at the targets.

    Args:
        users: (n, d), with a crowd (n, d + h): the last h weigh its levels.
        items: (catalog, d), of one type with users: in bfloat16 products and shares are, sums of the softmax are not.
        targets: (n, s) item indices, several answers to one position.
        weights: (n, s) of each answer, 0 where there is none; divide by their sum outside for a mean.
        crowd: levels that are added, as they are at each position's moment.
        offsets: (catalog,) added to everybody's logits: how many items each stands for, as a logarithm (sampled_items).
    """
    if popularity is None:
        popularity = PopularityLevels(users.new_empty((0, len(items), 0)), torch.zeros(len(users), dtype=torch.long))
    loss: Tensor = _CatalogLoss.apply(users, items, *popularity, offsets, targets, weights)  # type: ignore[no-untyped-call]
    return loss


def _rows(device: torch.device, n_items: int) -> tuple[int, int]:
    if device.type == "cpu":
        return _CACHED_ROWS, _BLOCK_ROWS
    rows = max(1, _DEVICE_CELLS // n_items)
    return rows, rows


def _chunks(moments: Tensor, whole: slice, rows: int) -> Iterator[tuple[slice, int]]:
    """Cut `whole` into parts of at most `rows` positions of one moment."""
    present, counts = torch.unique_consecutive(moments[whole], return_counts=True)
    start = whole.start
    for moment, count in zip(present.tolist(), counts.tolist(), strict=True):
        for first in range(start, start + count, rows):
            yield slice(first, min(first + rows, start + count)), moment
        start += count
