"""Softmax cross-entropy over the whole catalog, with forward and backward pass fused, in chunks.

The logits of all positions would take positions x items x 4 bytes (1.5 GB for 100,000 x 3,700). Only one chunk exists
at a time, and its gradient is computed with it.
"""

from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

_CACHED_ROWS = 256
"""Rows of logits computed at a time on a CPU: 6 MB in bfloat16 for 12,101 items."""
_BLOCK_ROWS = 512
"""Rows per product of the gradient. 2,048 x 12,101 x 128 in bfloat16 takes 46 ms on two cores, 55 ms with products of
64 rows, and 124 ms with all in chunks of 1,024."""
_BUCKETS: Final = 8
"""Time buckets per step of the width of a product with their levels."""
_DEVICE_CELLS = 64_000_000
"""Maximum number of logits computed at a time on a GPU: 256 MB."""
_CELLS: Final = 4_000_000
"""Maximum size of the hidden layer (positions x items x width): 16 MB, and as much again for the gradient."""


class PopularityLevels(NamedTuple):
    """Popularity of the items by time bucket; it is added to the logits and not learned."""

    levels: Tensor
    """(items, buckets, h) levels of demand."""
    buckets: Tensor
    """(n,) time bucket of each position, on the CPU, ascending."""

    def beside(self, users: Tensor, items: Tensor, part: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Return users and items with columns for popularity, so that one product makes the logits of a part.

        Args:
            users: (k, d + h) of the positions of `part`.
            items: (items, d).

        Returns:
            (k, d + c) users, whose last c columns are 0 but for the h of their own bucket; (items, d + c) items;
            (k, h) the places of those h columns.
        """
        d, h, own = items.shape[1], self.levels.shape[2], self.buckets[part]
        # Few different widths, see `_whole_rows`.
        count = min(-(-(int(own[-1]) + 1 - int(own[0])) // _BUCKETS) * _BUCKETS, self.levels.shape[1])
        first = min(int(own[0]), self.levels.shape[1] - count)
        places = (d + (own - first)[:, None] * h + torch.arange(h)).to(users.device)
        wide = functional.pad(users[:, :d], (0, count * h)).scatter_(1, places, users[:, d:])
        return wide, torch.cat([items, self.levels[:, first : first + count].flatten(1)], dim=1), places


class _CatalogLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        users: Tensor,
        items: Tensor,
        levels: Tensor,
        buckets: Tensor,
        offsets: Tensor | None,
        targets: Tensor,
        weights: Tensor,
    ) -> Tensor:
        positions, width = len(users), items.shape[1]
        rows, block = _rows(users.device, len(items))
        users, buckets, targets, weights = _whole_rows(rows, users, buckets, targets, weights)
        popularity = PopularityLevels(levels, buckets)
        user_gradient = torch.empty_like(users)
        item_gradient = torch.zeros_like(items, dtype=torch.float32)
        loss = torch.zeros((), device=users.device)
        totals = weights.sum(dim=1, keepdim=True)
        # Weights relative to each row's total; the totals are applied to (n, d) at the end, not to (n, items).
        parts = (weights / totals.clamp(min=1e-30)).to(users.dtype)
        gradient = torch.empty((min(block, len(users)), len(items)), dtype=users.dtype, device=users.device)
        for first in range(0, len(users), block):
            whole = slice(first, min(first + block, len(users)))
            for start in range(whole.start, whole.stop, rows):
                part = slice(start, min(start + rows, whole.stop))
                wide_users, wide_items, places = popularity.beside(users[part], items, part)
                logits = wide_users @ wide_items.T
                if offsets is not None:
                    logits += offsets
                shares = gradient[part.start - first : part.stop - first]
                # The softmax sums in float32, and rounds to the type of the following products.
                torch.softmax(logits, dim=1, out=shares)
                # 1e-30 keeps the loss of a target finite when its probability rounds to 0.
                loss -= (weights[part] * shares.gather(1, targets[part]).float().clamp(min=1e-30).log()).sum()
                shares.scatter_add_(1, targets[part], -parts[part])
                wide_gradient = shares @ wide_items
                torch.cat([wide_gradient[:, :width], wide_gradient.gather(1, places)], 1, out=user_gradient[part])
            used, scale = gradient[: whole.stop - first], totals[whole].to(users.dtype)
            item_gradient += used.T @ (users[whole, :width] * scale)
        user_gradient *= totals.to(users.dtype)
        ctx.save_for_backward(user_gradient[:positions], item_gradient.to(items.dtype))
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
        users: (n, d), or (n, d + h) with `popularity`; the last h columns are the weights of its levels.
        items: (catalog, d), of the same type as users. In bfloat16, the sums of the softmax are still in float32.
        targets: (n, s) item indices, s for each position.
        weights: (n, s) of each target, 0 for none; the caller divides by their sum for a mean.
        popularity: levels of the items, added to the logits with the users' weights.
        offsets: (catalog,) added to all logits; the sampling correction of `sampled_items`.
    """
    if popularity is None:
        popularity = PopularityLevels(users.new_empty((len(items), 1, 0)), torch.zeros(len(users), dtype=torch.long))
    loss: Tensor = _CatalogLoss.apply(users, items, *popularity, offsets, targets, weights)  # type: ignore[no-untyped-call]
    return loss


def _rows(device: torch.device, n_items: int) -> tuple[int, int]:
    if device.type == "cpu":
        return _CACHED_ROWS, _BLOCK_ROWS
    rows = max(1, _DEVICE_CELLS // n_items)
    return rows, rows


def _whole_rows(
    rows: int, users: Tensor, buckets: Tensor, targets: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the positions with copies of the last one, of weight 0, up to a multiple of `rows` on a CPU.

    A CPU's bfloat16 products compile code for each new shape, 20 ms each: with one product for each time bucket, of
    ever new numbers of rows, an epoch of 66,000 events took 6.7 s, and takes 4.0 with few shapes (two cores).
    """
    missing = -len(users) % rows if users.device.type == "cpu" else 0
    if not missing:
        return users, buckets, targets, weights
    users, buckets, targets = (
        torch.cat([column, column[-1:].expand(missing, *column.shape[1:])]) for column in (users, buckets, targets)
    )
    return users, buckets, targets, functional.pad(weights, (0, 0, 0, missing))


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
        levels = None if popularity is None else popularity.levels[:, popularity.buckets[part].to(users.device)]
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
        logits = logits + torch.einsum("nh,cnh->nc", users[:, width:].float(), levels.float())
    if offsets is not None:
        logits = logits + offsets
    return -(logits.log_softmax(dim=1).gather(1, targets) * weights).sum()
