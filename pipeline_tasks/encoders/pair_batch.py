"""Loss and gradients of a batch of text pairs: in-batch InfoNCE, in which each distinct text is encoded once.

The logQ correction (Yi et al. 2019, Sampling-Bias-Corrected Neural Modeling) is applied, because frequent texts are
drawn as negatives more often and would otherwise be pushed down.

Gao et al. 2021, Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup. All texts are encoded without
gradients. The loss gives the gradient of each vector. Then each part is encoded again, to pass on its gradient.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pipeline_tasks.data.interactions import Flags, Floats, Integers
from pipeline_tasks.device import has_bfloat16
from pipeline_tasks.encoders.encoder_pairs import PairDraw
from pipeline_tasks.encoders.text_encoder import TextEncoder, TokenizedTexts
from pipeline_tasks.errors import TrainingError

_CPU_GROUP = 32
"""Texts of similar length that a CPU encodes together. A GPU encodes a whole part."""


def encode_rows(encoder: TextEncoder, tokens: TokenizedTexts, ordered: Integers, part: int) -> Tensor:
    """Return (n, width) vectors of the distinct texts `ordered` (shortest first), with gradients where enabled."""
    most = min(part, _CPU_GROUP) if encoder.model.device.type == "cpu" else part
    return torch.cat([encoder.vectors(group) for group in tokens.groups(ordered, most)])


def backward_through_parts(
    encoder: TextEncoder, tokens: TokenizedTexts, ordered: Integers, loss_of: Callable[[Tensor], Tensor], part: int
) -> float:
    """Add the gradients of a loss to the encoder, `part` texts at a time, and return the loss.

    `loss_of` maps the (n, width) vectors of the texts `ordered` to the loss. If all texts fit into one part, none is
    encoded twice.
    """
    if part >= len(ordered):
        loss = loss_of(encode_rows(encoder, tokens, ordered, part))
        loss.backward()
        return float(loss.item())
    states, blocks = [], []
    for start in range(0, len(ordered), part):
        states.append(_random_state(encoder))
        with torch.no_grad():
            blocks.append(encode_rows(encoder, tokens, ordered[start : start + part], part))
    vectors = torch.cat(blocks).requires_grad_()
    loss = loss_of(vectors)
    loss.backward()
    assert vectors.grad is not None
    for number, state in enumerate(states):
        chosen = slice(number * part, (number + 1) * part)
        # The same dropout as in the first pass, because the gradient belongs to those vectors.
        _restore(encoder, state)
        again = encode_rows(encoder, tokens, ordered[chosen], part)
        again.backward(vectors.grad[chosen].to(again.dtype))
    return float(loss.item())


def _random_state(encoder: TextEncoder) -> Tensor:
    on_gpu = encoder.model.device.type == "cuda"
    return torch.cuda.get_rng_state() if on_gpu else torch.get_rng_state()


def _restore(encoder: TextEncoder, state: Tensor) -> None:
    if encoder.model.device.type == "cuda":
        torch.cuda.set_rng_state(state)
    else:
        torch.set_rng_state(state)


class PairBatch:
    """Computes the loss of drawn pairs and the gradients of the encoder's trained weights."""

    def __init__(
        self, encoder: TextEncoder, tokens: TokenizedTexts, draw: PairDraw, part: int, temperature: float = 0.05
    ) -> None:
        self.encoder, self.tokens, self.draw = encoder, tokens, draw
        self.part, self.temperature = part, temperature
        self.half = has_bfloat16(encoder.model.device)

    def backward(self, pairs: tuple[Integers, Integers]) -> float:
        """Add the gradients of the batch and return its loss. Parts get smaller when the GPU runs out of memory.

        Raises:
            TrainingError: the GPU lacks memory for a single text.
        """
        ordered, rows = self._texts(pairs)

        def attempt() -> float:
            return backward_through_parts(
                self.encoder, self.tokens, ordered, lambda vectors: self._loss(vectors, rows, pairs), self.part
            )

        return self._with_oom_retry(attempt, 2 * len(pairs[0]))

    @torch.no_grad()
    def loss(self, pairs: tuple[Integers, Integers]) -> float:
        """Return the loss of a batch without dropout and without gradients."""
        ordered, rows = self._texts(pairs)

        def attempt() -> float:
            blocks = [ordered[start : start + self.part] for start in range(0, len(ordered), self.part)]
            vectors = torch.cat([encode_rows(self.encoder, self.tokens, block, self.part) for block in blocks])
            return float(self._loss(vectors, rows, pairs).item())

        trains = self.encoder.model.training
        self.encoder.model.train(mode=False)
        found = self._with_oom_retry(attempt, 2 * len(pairs[0]))
        self.encoder.model.train(mode=trains)
        return found

    def _with_oom_retry(self, attempt: Callable[[], float], texts: int) -> float:
        """Return the result of `attempt`, repeated with half as many texts while the GPU is out of memory."""
        while True:
            try:
                with torch.autocast(self.encoder.model.device.type, torch.bfloat16, enabled=self.half):
                    return attempt()
            except torch.OutOfMemoryError as error:
                if self.part == 1:
                    raise TrainingError(
                        "the GPU is out of memory with one text at a time: free the GPU, train on the CPU "
                        "(CUDA_VISIBLE_DEVICES=), or leave tuned candidates out of training.candidates"
                    ) from error
            # Outside the except block, because the exception's stack keeps the tensors alive.
            self.part = max(1, min(self.part, texts) // 2)
            print(f"the GPU is out of memory: encoding {self.part} texts at a time from here on", flush=True)
            self.encoder.model.zero_grad()
            torch.cuda.empty_cache()

    def _texts(self, pairs: tuple[Integers, Integers]) -> tuple[Integers, Integers]:
        """Return the distinct texts of the pairs, shortest first, and the index there of each pair's two texts."""
        distinct, place = np.unique(self.tokens.text_of[np.concatenate(pairs)], return_inverse=True)
        ordered = self.tokens.by_length(distinct)
        at = np.empty(len(ordered), dtype=np.int64)
        at[np.searchsorted(distinct, ordered)] = np.arange(len(ordered))
        return ordered, at[place]

    def _loss(self, vectors: Tensor, rows: Integers, pairs: tuple[Integers, Integers]) -> Tensor:
        first, second = vectors.index_select(0, torch.from_numpy(rows).to(vectors.device)).split(len(pairs[0]))
        together: Flags = np.asarray(self.draw.known[pairs[0]][:, pairs[1]].todense()) > 0
        return pair_loss(first, second, pairs, self.draw.log_share, self.temperature, together)


def pair_loss(
    first: Tensor,
    second: Tensor,
    pairs: tuple[Integers, Integers],
    log_share: Floats,
    temperature: float,
    together: Flags,
) -> Tensor:
    """Return the logQ-corrected InfoNCE loss of (pairs, width) vectors of length 1.

    Each first text is classified among all second texts. `together` (pairs, pairs) is true where a first and a second
    text are a positive pair. Such texts are no negatives, nor is a text of itself: otherwise texts would be pushed away
    from themselves until all vectors are equal.
    """
    left, right = pairs
    device = first.device
    logits = (first @ second.T).float() / temperature - torch.from_numpy(log_share[right]).to(device)
    own = together | (right[None, :] == right[:, None]) | (right[None, :] == left[:, None])
    same = torch.from_numpy(own & ~np.eye(len(right), dtype=bool)).to(device)
    logits = logits.masked_fill(same, -math.inf)
    return torch.nn.functional.cross_entropy(logits, torch.arange(len(left), device=device))
