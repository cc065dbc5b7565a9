"""SASRec trained with full softmax cross-entropy, as a sequential baseline.

The loss is the softmax over the whole catalog at every position. The paper's binary cross-entropy with one negative is
known to be worse (Petrov and Macdonald 2023, Klenitskiy and Vasilev 2023). Adam has a constant rate, as published.

The input is item plus learned position embeddings. A causal block has attention with normed queries and unnormed keys
and values, without an output projection, and then a two-layer ReLU network of the same width; each is added to its
normed input. Scores are dot products with the item table. The network reads items only: no text, times or event types.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from pipeline_tasks.data.interactions import DataExtent, Floats, Integers, Interactions
from pipeline_tasks.device import has_bfloat16, prepare_torch
from pipeline_tasks.errors import TrainingError
from pipeline_tasks.models.two_tower.catalog_loss import catalog_loss
from pipeline_tasks.models.two_tower.training_windows import batch_windows, last_windows

_SCORED_AT_ONCE = 512
_DENSE = 50
"""Minimum of mean events per history for a dense log; MovieLens-1M has 165, Amazon Beauty 9."""


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


@dataclass(frozen=True)
class SasrecScorer:
    """A fitted SASRec over n items."""

    name: str
    data_extent: DataExtent
    network: Sasrec
    max_length: int

    @torch.inference_mode()
    def scores(self, histories: Interactions) -> Floats:
        """Return (histories, n); zeros for an empty history."""
        self.network.train(False)
        device = self.network.items.weight.device
        windows = _item_windows(histories, self.max_length)
        scores = np.zeros((len(histories), self.network.items.num_embeddings), dtype=np.float32)
        sizes = (windows >= 0).sum(axis=1)
        # Sorted by length, so that batches have little padding.
        order = np.argsort(sizes, kind="stable")
        order = order[sizes[order] > 0]
        for start in range(0, len(order), _SCORED_AT_ONCE):
            chosen = order[start : start + _SCORED_AT_ONCE]
            batch = torch.from_numpy(windows[chosen, : sizes[chosen].max()]).to(device)
            last = torch.from_numpy(sizes[chosen] - 1).to(device)
            states = self.network(batch)[torch.arange(len(chosen), device=device), last]
            scores[chosen] = (states @ self.network.items.weight.T).float().cpu().numpy()
        return scores


def fit_sasrec(
    log: Interactions,
    n_items: int,
    options: SasrecOptions | None = None,
    after_epoch: Callable[[int, float, SasrecScorer], bool] = lambda epoch, loss, scorer: True,
    seed: int = 1,
) -> SasrecScorer:
    """Train on every position of every history's last `max_length + 1` items.

    Stops after the epochs of the options, or once `after_epoch(epoch, mean loss, scorer)` returns False. The default
    options are `paper_options` with `seed`.

    Raises:
        TrainingError: no history has two events, or the loss is not finite.
    """
    options = options or replace(paper_options(log), seed=seed)
    device = prepare_torch(0)
    torch.manual_seed(options.seed)
    windows = _item_windows(log.select(np.flatnonzero(log.lengths >= 2)), options.max_length + 1)
    if not len(windows):
        raise TrainingError("no history of two events or more: SASRec has nothing to predict")
    network = Sasrec(n_items, options).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=options.learning_rate, betas=(0.9, 0.98))
    rng = np.random.default_rng(options.seed)
    precision = torch.bfloat16 if has_bfloat16(torch.device(device)) else torch.float32
    scorer = SasrecScorer("sasrec", log.data_extent, network, options.max_length)
    for epoch in range(1, options.epochs + 1):
        losses = []
        # Batches have equal numbers of positions. With equal numbers of histories, long ones would have less weight.
        for batch in batch_windows(windows, options.batch_positions, rng):
            loss = _loss(network, torch.from_numpy(batch).to(device), precision)
            if not torch.isfinite(loss):
                raise TrainingError(f"SASRec's loss is {loss.item()} in epoch {epoch}: lower the learning rate")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if not after_epoch(epoch, float(np.mean(losses)), scorer):
            break
    return scorer


def paper_options(log: Interactions) -> SasrecOptions:
    """Return the paper's options for sparse logs (Amazon) or for dense ones (MovieLens)."""
    dense = len(log.items) >= _DENSE * len(log)
    return SasrecOptions(dropout=0.2, max_length=200) if dense else SasrecOptions()


def _loss(network: Sasrec, windows: Tensor, precision: torch.dtype) -> Tensor:
    network.train(True)
    inputs, targets = windows[:, :-1], windows[:, 1:]
    # The last item of a window is only a target; as an input it would shift the positions of all others by one.
    inputs = torch.where(targets >= 0, inputs, -1)
    has_target = targets >= 0
    states, wanted = network(inputs)[has_target], targets[has_target][:, None]
    once = torch.ones_like(wanted, dtype=torch.float32)
    total = catalog_loss(states.to(precision), network.items.weight.to(precision), wanted, once)
    return total / len(wanted)


def _item_windows(log: Interactions, length: int) -> Integers:
    """Return (sequences, length): the last items of each sequence, left-aligned, -1 beyond the end."""
    return np.append(log.items, -1)[last_windows(log, length)]
