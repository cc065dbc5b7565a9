"""Stage 1 of training: LoRA fine-tuning of the text encoder on items that the same shoppers wanted near in time.

In-batch contrastive loss (InfoNCE) with logQ correction (Yi et al. 2019): frequent items are drawn as negatives more
often, and would otherwise be pushed down for it. Pairs come from the log given, which must be train only.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from scipy.sparse import triu

from pipeline_tasks.device import has_bfloat16
from pipeline_tasks.interactions import Floats, Integers, Interactions
from pipeline_tasks.item_cooccurrence import cooccurrence
from pipeline_tasks.text_encoder import TextEncoder
from pipeline_tasks.training_error import TrainingError


@dataclass(frozen=True)
class AdaptOptions:
    """What may be tuned of stage 1."""

    steps: int = 40
    pairs: int = 32
    rank: int = 16
    learning_rate: float = 5e-4
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
    """Fine-tune the encoder, keep its adapter in `folder` and return it with the adapter merged.

    Raises:
        TrainingError: there are no pairs, or the loss is not a number.
    """
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    draw = PairDraw(log, len(texts))
    # all-linear: the encoder may be any architecture, whose projections have any names.
    lora = LoraConfig(r=options.rank, lora_alpha=2 * options.rank, lora_dropout=0.05, target_modules="all-linear")
    model = get_peft_model(encoder.model, lora)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=options.learning_rate, weight_decay=0.01)
    tuned = TextEncoder(encoder.name, encoder.tokenizer, model)
    model.train()
    half = has_bfloat16(encoder.model.device)
    for step in range(1, options.steps + 1):
        pairs = draw.draw(options.pairs, rng)
        with torch.autocast(encoder.model.device.type, torch.bfloat16, enabled=half):
            loss = _pair_loss(tuned, texts, pairs, draw.log_share, options.temperature)
        if not math.isfinite(loss.item()):
            raise TrainingError(f"loss of the encoder is {loss.item()} in step {step}: lower its learning rate")
        for group in optimizer.param_groups:
            group["lr"] = options.learning_rate * min(1.0, step / 10, (options.steps + 1 - step) / options.steps * 1.5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        after_step(step, loss.item())
    model.save_pretrained(str(folder))
    return TextEncoder(encoder.name, encoder.tokenizer, model.merge_and_unload())


def _pair_loss(
    encoder: TextEncoder, texts: list[str], pairs: tuple[Integers, Integers], log_share: Floats, temperature: float
) -> torch.Tensor:
    left, right = pairs
    unique, place = np.unique(np.concatenate([left, right]), return_inverse=True)
    vectors = encoder.vectors(encoder.tokenize([texts[item] for item in unique]))
    device = vectors.device
    first, second = vectors.index_select(0, torch.from_numpy(place).to(device)).split(len(left))
    logits = first @ second.T / temperature - torch.from_numpy(log_share[right]).to(device)
    # Another pair's item is no negative where it is this pair's own: masked, or titles are pushed away from themselves
    # until all vectors are one.
    own = (right[None, :] == right[:, None]) | (right[None, :] == left[:, None])
    same = torch.from_numpy(own & ~np.eye(len(right), dtype=bool)).to(device)
    logits = logits.masked_fill(same, -math.inf)
    return torch.nn.functional.cross_entropy(logits, torch.arange(len(left), device=device))
