"""SASRec (Kang and McAuley 2018) trained with full softmax cross-entropy: the sequential model to beat.

Architecture of the paper: item plus learned position embeddings, pre-norm causal blocks of attention and a two-layer
ReLU network of the same width, scores by dot product with the same item table. The loss is not the paper's binary
cross-entropy with one negative, which is known to hold it back (Petrov and Macdonald 2023, Klenitskiy and Vasilev
2023), but the softmax over the whole catalog at every position. Items only: no text, no times, no event types.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from pipeline_tasks.catalog_loss import catalog_loss
from pipeline_tasks.device import has_bfloat16, prepare_torch
from pipeline_tasks.interactions import Evidence, Floats, Integers, Interactions
from pipeline_tasks.training_error import TrainingError

_SCORED_AT_ONCE = 512


@dataclass(frozen=True)
class SasrecOptions:
    """Hyperparameters; the defaults are the paper's depth with the width that later studies agree on."""

    epochs: int = 30
    dimension: int = 128
    blocks: int = 2
    heads: int = 2
    dropout: float = 0.5
    max_length: int = 50
    batch: int = 128
    learning_rate: float = 1e-3
    seed: int = 1


class SasrecBlock(nn.Module):
    """Causal self-attention and a position-wise network, each normed before and added to its input."""

    def __init__(self, options: SasrecOptions) -> None:
        super().__init__()
        width = options.dimension
        self.heads = options.heads
        self.norms = nn.ModuleList([nn.LayerNorm(width, eps=1e-8) for _ in range(2)])
        self.projection, self.mixed = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, states: Tensor) -> Tensor:
        """(batch, length, width) in and out."""
        shape = (*states.shape[:2], self.heads, -1)
        parts = self.projection(self.norms[0](states)).chunk(3, dim=-1)
        query, key, value = (part.reshape(shape).transpose(1, 2) for part in parts)
        drop = self.dropout.p if self.training else 0.0
        seen = nn.functional.scaled_dot_product_attention(query, key, value, dropout_p=drop, is_causal=True)
        states = states + self.dropout(self.mixed(seen.transpose(1, 2).reshape(states.shape)))
        inner = self.dropout(torch.relu(self.inner(self.norms[1](states))))
        return torch.as_tensor(states + self.dropout(self.outer(inner)))


class Sasrec(nn.Module):
    """The network. Histories are left-aligned, so that a causal mask alone hides the padding from real positions."""

    def __init__(self, n_items: int, options: SasrecOptions) -> None:
        super().__init__()
        self.items = nn.Embedding(n_items, options.dimension)
        self.positions = nn.Embedding(options.max_length, options.dimension)
        self.blocks = nn.ModuleList([SasrecBlock(options) for _ in range(options.blocks)])
        self.norm, self.dropout = nn.LayerNorm(options.dimension, eps=1e-8), nn.Dropout(options.dropout)
        for table in (self.items, self.positions):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, windows: Tensor) -> Tensor:
        """Return (batch, length, width) states of windows (batch, length) of item indices, -1 where padded.

        Positions count back from the last item, as in the paper, whose histories end at the last position.
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
    evidence: Evidence
    network: Sasrec
    max_length: int

    @torch.inference_mode()
    def scores(self, histories: Interactions) -> Floats:
        """Return (histories, n): zeros where there is no history."""
        self.network.train(False)
        device = self.network.items.weight.device
        windows = _windows(histories, self.max_length)
        scores = np.zeros((len(histories), self.network.items.num_embeddings), dtype=np.float32)
        sizes = (windows >= 0).sum(axis=1)
        # Equal lengths together: nobody pays for a longer neighbor's padding.
        order = np.argsort(sizes, kind="stable")
        order = order[sizes[order] > 0]
        for start in range(0, len(order), _SCORED_AT_ONCE):
            chosen = order[start : start + _SCORED_AT_ONCE]
            batch = torch.from_numpy(windows[chosen, : sizes[chosen].max()]).to(device)
            last = torch.from_numpy(sizes[chosen] - 1).to(device)
            states = self.network(batch)[torch.arange(len(chosen), device=device), last]
            scores[chosen] = (states @ self.network.items.weight.T).float().cpu().numpy()
        return scores


def fit_sasrec(log: Interactions, n_items: int, options: SasrecOptions | None = None) -> SasrecScorer:
    """Train on every position of every history's last `max_length + 1` items.

    Raises:
        TrainingError: no history has two events, or the loss is no number.
    """
    options = options or SasrecOptions()
    device = prepare_torch(0)
    torch.manual_seed(options.seed)
    windows = _windows(log, options.max_length + 1)
    windows = windows[(windows >= 0).sum(axis=1) >= 2]
    if not len(windows):
        raise TrainingError("no history of two events or more: SASRec has nothing to predict")
    network = Sasrec(n_items, options).to(device)
    steps = options.epochs * -(-len(windows) // options.batch)
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    rng = np.random.default_rng(options.seed)
    precision = torch.bfloat16 if has_bfloat16(torch.device(device)) else torch.float32
    for epoch in range(options.epochs):
        for batch in _batches(windows, options.batch, rng):
            loss = _loss(network, torch.from_numpy(batch).to(device), precision)
            if not torch.isfinite(loss):
                raise TrainingError(f"SASRec's loss is {loss.item()} in epoch {epoch + 1}: lower the learning rate")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    return SasrecScorer("sasrec", log.evidence, network, options.max_length)


def _loss(network: Sasrec, windows: Tensor, precision: torch.dtype) -> Tensor:
    network.train(True)
    inputs, targets = windows[:, :-1], windows[:, 1:]
    # The last item of a window is a target only: as input it would shift the positions of all others by one.
    inputs = torch.where(targets >= 0, inputs, -1)
    asked = targets >= 0
    states, wanted = network(inputs)[asked], targets[asked][:, None]
    once = torch.ones_like(wanted, dtype=torch.float32)
    total = catalog_loss(states.to(precision), network.items.weight.to(precision), wanted, once)
    return total / len(wanted)


def _batches(windows: Integers, size: int, rng: np.random.Generator) -> list[Integers]:
    """Return random batches of windows of like length, cut to their longest."""
    lengths = (windows >= 0).sum(axis=1)
    order = np.argsort(lengths + rng.random(len(windows)), kind="stable")
    starts = rng.permutation(np.arange(0, len(order), size))
    groups = [order[start : start + size] for start in starts]
    return [windows[group, : lengths[group].max()] for group in groups]


def _windows(log: Interactions, length: int) -> Integers:
    """Return (sequences, length): the last items of each, left-aligned, -1 beyond the end."""
    sizes = np.minimum(log.lengths, length)
    windows = np.full((len(log), length), -1, dtype=np.int64)
    rows = np.repeat(np.arange(len(log)), sizes)
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    windows[rows, within] = log.items[log.offsets[1:][rows] - sizes[rows] + within]
    return windows
