"""Stage 1 of training: fine-tuning of the text encoder on items that the same shoppers wanted near in time.

In-batch contrastive loss (InfoNCE) with logQ correction (Yi et al. 2019): frequent items are drawn as negatives more
often, and would otherwise be pushed down for it. Pairs come from the log given, which must be train only.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import triu

from pipeline_tasks.cached_gradients import backward_through_parts
from pipeline_tasks.device import has_bfloat16
from pipeline_tasks.interactions import Floats, Integers, Interactions
from pipeline_tasks.item_cooccurrence import cooccurrence
from pipeline_tasks.text_encoder import TextEncoder
from pipeline_tasks.trainable_encoder import Tuning, keep_tuned, make_trainable
from pipeline_tasks.training_error import TrainingError


@dataclass(frozen=True)
class AdaptOptions:
    """What may be tuned of stage 1."""

    tuning: Tuning = "lora"
    layers: int = 2
    """Blocks that last_layers tunes."""
    steps: int = 40
    pairs: int = 32
    part: int = 512
    """Texts encoded at a time with gradients; halved, and said so, when a GPU runs out of memory."""
    learning_rate: float = 0.0
    """0: 5e-4 for LoRA's own weights, which start at nothing; 5e-5 for weights that are trained already."""
    temperature: float = 0.05
    seed: int = 1


class PairDraw:
    """Draws pairs of items by how often they stand near one another, evened out so that bestsellers do not rule."""

    def __init__(self, log: Interactions, n_items: int) -> None:
        near = triu(cooccurrence(log, n_items), k=1).tocoo()
        if not near.nnz:
            raise TrainingError("no two items were wanted by the same shopper: the encoder has no pairs to learn from")
        self.left, self.right = near.row.astype(np.int64), near.col.astype(np.int64)
        weights = np.sqrt(near.data)
        self.cumulated = np.cumsum(weights) / weights.sum()
        marginal = np.bincount(self.left, weights, n_items) + np.bincount(self.right, weights, n_items)
        self.log_share = np.log(np.maximum(marginal / marginal.sum(), 1e-12)).astype(np.float32)

    def draw(self, size: int, rng: np.random.Generator) -> tuple[Integers, Integers]:
        """Return two (size,) arrays of item indices; which is first is chance."""
        chosen = np.searchsorted(self.cumulated, rng.random(size)).clip(max=len(self.left) - 1)
        swap = rng.random(size) < 0.5
        left, right = self.left[chosen], self.right[chosen]
        return np.where(swap, right, left), np.where(swap, left, right)


def adapt_encoder(
    encoder: TextEncoder,
    log: Interactions,
    texts: list[str],
    options: AdaptOptions,
    *,
    folder: Path,
    after_step: Callable[[int, float], None] = lambda step, loss: None,
) -> TextEncoder:
    """Fine-tune the encoder, keep what was tuned in `folder` and return it ready for use.

    Raises:
        TrainingError: there are no pairs, or the loss is not a number.
    """
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    draw = PairDraw(log, len(texts))
    tuned = make_trainable(encoder, options.tuning, options.layers)
    trained = [parameter for parameter in tuned.model.parameters() if parameter.requires_grad]
    rate = options.learning_rate or (5e-4 if options.tuning == "lora" else 5e-5)
    optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=0.01)
    tuned.model.train()
    batch = PairBatch(tuned, texts, draw.log_share, options)
    for step in range(1, options.steps + 1):
        loss = batch.backward(draw.draw(options.pairs, rng))
        if not math.isfinite(loss):
            raise TrainingError(f"loss of the encoder is {loss} in step {step}: lower its learning rate")
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, step / 10, (options.steps + 1 - step) / options.steps * 1.5)
        optimizer.step()
        optimizer.zero_grad()
        after_step(step, loss)
    return keep_tuned(tuned, folder)


class PairBatch:
    """Loss and gradients of one batch of pairs, each text encoded once."""

    def __init__(self, encoder: TextEncoder, texts: list[str], log_share: Floats, options: AdaptOptions) -> None:
        self.encoder, self.texts, self.log_share, self.options = encoder, texts, log_share, options
        self.part = options.part
        self.half = has_bfloat16(encoder.model.device)

    def backward(self, pairs: tuple[Integers, Integers]) -> float:
        """Add the gradients of the batch and return its loss; on a full GPU with ever smaller parts."""
        try:
            return self._backward(pairs)
        except torch.cuda.OutOfMemoryError:
            if self.part == 1:
                raise
            self.part = max(1, min(self.part, 2 * len(pairs[0])) // 2)
            print(f"the GPU is out of memory: encoding {self.part} texts at a time from here on", flush=True)
            self.encoder.model.zero_grad()
            torch.cuda.empty_cache()
            return self.backward(pairs)

    def _backward(self, pairs: tuple[Integers, Integers]) -> float:
        left, right = pairs
        items, place = np.unique(np.concatenate([left, right]), return_inverse=True)
        # Equal titles of different items are one text; like lengths side by side, so that parts hold little padding.
        texts = sorted({self.texts[item] for item in items}, key=lambda text: (len(text), text))
        row = {text: number for number, text in enumerate(texts)}
        rows = np.array([row[self.texts[item]] for item in items])[place]

        def loss_of(vectors: torch.Tensor) -> torch.Tensor:
            chosen = vectors.index_select(0, torch.from_numpy(rows).to(vectors.device))
            first, second = chosen.split(len(left))
            return pair_loss(first, second, pairs, self.log_share, self.options.temperature)

        with torch.autocast(self.encoder.model.device.type, torch.bfloat16, enabled=self.half):
            return backward_through_parts(self.encoder, texts, loss_of, self.part)


def pair_loss(
    first: torch.Tensor, second: torch.Tensor, pairs: tuple[Integers, Integers], log_share: Floats, temperature: float
) -> torch.Tensor:
    """Return InfoNCE of (pairs, width) vectors of length 1: each first item among all second ones, logQ-corrected."""
    left, right = pairs
    device = first.device
    logits = first @ second.T / temperature - torch.from_numpy(log_share[right]).to(device)
    # Another pair's item is no negative where it is this pair's own: masked, or titles are pushed away from themselves
    # until all vectors are one.
    own = (right[None, :] == right[:, None]) | (right[None, :] == left[:, None])
    same = torch.from_numpy(own & ~np.eye(len(right), dtype=bool)).to(device)
    logits = logits.masked_fill(same, -math.inf)
    return torch.nn.functional.cross_entropy(logits, torch.arange(len(left), device=device))
