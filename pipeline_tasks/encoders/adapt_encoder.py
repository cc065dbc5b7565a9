"""Stage 1 of training: contrastive fine-tuning of the text encoder.

Positive pairs are items that the same users wanted near in time, and queries with the items wanted after them. The log
must hold train only. The loss of held-out pairs decides when the training ends.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from pipeline_tasks.data.interactions import Integers, Interactions
from pipeline_tasks.encoders.encoder_pairs import PairDraw, hold_out, item_pairs, query_pairs
from pipeline_tasks.encoders.pair_batch import PairBatch
from pipeline_tasks.encoders.text_encoder import TextEncoder, TokenizedTexts
from pipeline_tasks.encoders.trainable_encoder import Tuning, make_trainable, save_tuned

GREATEST_NORM: Final = 5.0
"""Norm to which a step's gradient is clipped, as in stage 2. Loss of held-out pairs after 24 steps with and without it
(1,500 titles of the simulated shop, one seed): all weights 1.41 and 1.51, two blocks 2.37 and 2.44. LoRA's gradient is
shorter in 39 of 40 steps."""
_MOST_HELD_OUT = 256
_MEASUREMENTS = 8
"""Measurements of the held-out pairs during the training."""


@dataclass(frozen=True)
class AdaptOptions:
    """Options of stage 1."""

    tuning: Tuning = "lora"
    layers: int = 2
    """Transformer blocks that the tuning last_layers trains."""
    steps: int = 40
    pairs: int = 32
    walk: int = 8
    """Consecutive pairs of one random walk, which share texts."""
    query_share: float = 0.25
    """Share of a batch's pairs that are queries with items, where there are queries."""
    part: int = 256
    """Texts encoded at a time with gradients. It is halved, with a message, when a GPU runs out of memory."""
    learning_rate: float = 0.0
    """0 stands for 5e-4 for LoRA, which starts from zero, and 5e-5 for weights that are already trained."""
    patience: int = 3
    """Measurements without improvement after which the training ends."""
    seed: int = 1


@dataclass(frozen=True)
class QueriedItems:
    """Queries typed before the m events of train (empty: no query), and the items of those events."""

    queries: list[str]
    items: Integers


@dataclass(frozen=True)
class Adapted:
    """Result of stage 1."""

    encoder: TextEncoder
    """The encoder with the best weights on the held-out pairs, ready for use."""
    stopped: str | None = None
    """Why the training ended early; None where it did not."""


def adapt_encoder(
    encoder: TextEncoder,
    log: Interactions,
    texts: list[str],
    options: AdaptOptions,
    *,
    folder: Path,
    after_step: Callable[[int, float], None] = lambda step, loss: None,
    queried: QueriedItems | None = None,
) -> Adapted:
    """Fine-tune the encoder, write the tuned weights to `folder` and return the encoder ready for use.

    A loss or gradient that is not finite ends the training. The encoder then has its best weights so far, or its
    original ones where no pairs were held out.

    Raises:
        TrainingError: there are no pairs, or a GPU lacks memory for a single text.
    """
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    queries, wanted = query_pairs(queried.queries, queried.items, len(texts)) if queried else ([], None)
    train, held = hold_out(item_pairs(log, len(texts)), _MOST_HELD_OUT, rng)
    draw = PairDraw(train, len(texts) + len(queries), wanted, options.query_share)
    tuned = make_trainable(encoder, options.tuning, options.layers)
    batch = PairBatch(tuned, TokenizedTexts(tuned, [*texts, *queries]), draw, options.part)
    best = _BestWeights(batch, (held.left, held.right), options.patience)
    tuned.model.train()
    stopped = _train(batch, options, rng, best, after_step)
    if stopped:
        print(f"{stopped}; the encoder continues with the weights of step {best.step}, its best so far", flush=True)
    if stopped or best.can_measure:
        best.restore()
    return Adapted(save_tuned(tuned, folder), stopped)


def _train(
    batch: PairBatch,
    options: AdaptOptions,
    rng: np.random.Generator,
    best: "_BestWeights",
    after_step: Callable[[int, float], None],
) -> str | None:
    """Train, and return why the training ended early, or None."""
    rate = options.learning_rate or (5e-4 if options.tuning == "lora" else 5e-5)
    weights = open_weights(batch.encoder)
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.01, fused=True)
    every = max(1, options.steps // _MEASUREMENTS)
    for step in range(1, options.steps + 1):
        loss = batch.backward(batch.draw.draw(options.pairs, rng, options.walk))
        norm = float(clip_grad_norm_(weights, GREATEST_NORM))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            return (
                f"loss of the encoder is {loss}, and the length of its gradient {norm}, in step {step} of "
                f"{options.steps}: lower its learning rate ({rate:g}) or look for broken texts of items"
            )
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, step / 10, (options.steps + 1 - step) / options.steps * 1.5)
        optimizer.step()
        optimizer.zero_grad()
        after_step(step, loss)
        if step % every == 0 and not best.measure(step):
            break
    return None


def open_weights(encoder: TextEncoder) -> list[Tensor]:
    """Return the weights that are trained, those with requires_grad."""
    return [weight for weight in encoder.model.parameters() if weight.requires_grad]


class _BestWeights:
    """Measures the loss of held-out pairs and keeps the best weights, including those before the first step."""

    def __init__(self, batch: PairBatch, held: tuple[Integers, Integers], patience: int) -> None:
        self.batch, self.held, self.left, self.patience = batch, held, patience, patience
        self.can_measure = len(held[0]) > 1
        self.step, self.loss = 0, math.inf
        self._kept = self._current_weights()
        self.measure(0)

    def measure(self, step: int) -> bool:
        """Measure the loss, keep the weights where it is the best, and return whether to continue."""
        if not self.can_measure:
            return True
        loss = self.batch.loss(self.held)
        print(f"encoder, step {step}: loss of held-out pairs {loss:.4f}", flush=True)
        if loss < self.loss:
            self.step, self.loss, self.left = step, loss, self.patience
            self._kept = self._current_weights()
        else:
            self.left -= 1
        return self.left > 0

    def restore(self) -> None:
        with torch.no_grad():
            for weight, kept in zip(open_weights(self.batch.encoder), self._kept, strict=True):
                weight.copy_(kept)

    def _current_weights(self) -> list[Tensor]:
        return [weight.detach().clone() for weight in open_weights(self.batch.encoder)]
