"""Stage 1 of training: fine-tuning of the text encoder on what the same users wanted near in time.

Items with items, and queries with the items wanted after them; from the log given, which must be train only. Held-out
pairs say when it is enough.
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
from pipeline_tasks.encoders.text_encoder import TextEncoder
from pipeline_tasks.encoders.tokenized_texts import TokenizedTexts
from pipeline_tasks.encoders.trainable_encoder import Tuning, keep_tuned, make_trainable

GREATEST_NORM: Final = 5.0
"""Of a step's gradient; what is longer is shortened to it, as in stage 2. Loss of held-out pairs after 24 steps with it
and without (1,500 titles of the simulated shop, one seed): all weights 1.41 and 1.51, two blocks 2.37 and 2.44; LoRA's
gradient is hardly ever longer (39 of 40 steps)."""
_MOST_HELD_OUT = 256
_MEASUREMENTS = 8
"""Times that the held-out pairs are looked at, over the steps given."""


@dataclass(frozen=True)
class AdaptOptions:
    """What may be tuned of stage 1."""

    tuning: Tuning = "lora"
    layers: int = 2
    """Blocks that last_layers tunes."""
    steps: int = 40
    pairs: int = 32
    walk: int = 8
    """Pairs in a row that share texts."""
    query_share: float = 0.25
    """Of the pairs of a batch, where there are queries."""
    part: int = 256
    """Texts encoded at a time with gradients; halved, and said so, when a GPU runs out of memory."""
    learning_rate: float = 0.0
    """0: 5e-4 for LoRA's own weights, which start at nothing; 5e-5 for weights that are trained already."""
    patience: int = 3
    """Measurements without a better one that end the training."""
    seed: int = 1


@dataclass(frozen=True)
class AskedItems:
    """What was typed before events of train: m queries (empty: none), and the events' items."""

    queries: list[str]
    items: Integers


@dataclass(frozen=True)
class Adapted:
    """What came of stage 1."""

    encoder: TextEncoder
    """At its best on the held-out pairs, ready for use."""
    stopped: str | None = None
    """What ended the training before its time; None for nothing."""


def adapt_encoder(
    encoder: TextEncoder,
    log: Interactions,
    texts: list[str],
    options: AdaptOptions,
    *,
    folder: Path,
    after_step: Callable[[int, float], None] = lambda step, loss: None,
    asked: AskedItems | None = None,
) -> Adapted:
    """Fine-tune the encoder, keep what was tuned in `folder` and return it ready for use.

    A loss or a gradient that is no number ends the training: the encoder is then as it was at its best before, or as it
    came where nothing was held out to judge by.

    Raises:
        TrainingError: there are no pairs, or a GPU has no memory for a single text.
    """
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    queries, wanted = query_pairs(asked.queries, asked.items, len(texts)) if asked else ([], None)
    learned, held = hold_out(item_pairs(log, len(texts)), _MOST_HELD_OUT, rng)
    draw = PairDraw(learned, len(texts) + len(queries), wanted, options.query_share)
    tuned = make_trainable(encoder, options.tuning, options.layers)
    batch = PairBatch(tuned, TokenizedTexts(tuned, [*texts, *queries]), draw, options.part)
    best = _BestWeights(batch, (held.left, held.right), options.patience)
    tuned.model.train()
    stopped = _train(batch, options, rng, best, after_step)
    if stopped:
        print(f"{stopped}; the encoder goes on as it was after step {best.step}, its best so far", flush=True)
    if stopped or best.judges:
        best.restore()
    return Adapted(keep_tuned(tuned, folder), stopped)


def _train(
    batch: PairBatch,
    options: AdaptOptions,
    rng: np.random.Generator,
    best: "_BestWeights",
    after_step: Callable[[int, float], None],
) -> str | None:
    """Return what ended the training before its time."""
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
        if step % every == 0 and not best.is_worth_going_on(step):
            break
    return None


def open_weights(encoder: TextEncoder) -> list[Tensor]:
    """Return the weights that are trained."""
    return [weight for weight in encoder.model.parameters() if weight.requires_grad]


class _BestWeights:
    """Measures held-out pairs and keeps the best weights, those from before the first step among them."""

    def __init__(self, batch: PairBatch, held: tuple[Integers, Integers], patience: int) -> None:
        self.batch, self.held, self.left, self.patience = batch, held, patience, patience
        self.judges = len(held[0]) > 1
        self.step, self.loss = 0, math.inf
        self._kept = self._present()
        self.is_worth_going_on(0)

    def is_worth_going_on(self, step: int) -> bool:
        if not self.judges:
            return True
        loss = self.batch.loss(self.held)
        print(f"encoder, step {step}: loss of held-out pairs {loss:.4f}", flush=True)
        if loss < self.loss:
            self.step, self.loss, self.left = step, loss, self.patience
            self._kept = self._present()
        else:
            self.left -= 1
        return self.left > 0

    def restore(self) -> None:
        with torch.no_grad():
            for weight, kept in zip(open_weights(self.batch.encoder), self._kept, strict=True):
                weight.copy_(kept)

    def _present(self) -> list[Tensor]:
        return [weight.detach().clone() for weight in open_weights(self.batch.encoder)]
