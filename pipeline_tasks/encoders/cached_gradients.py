"""Gradient caching: the loss of a large batch with the memory of a small one.

Gao et al. 2021, Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup: all texts are encoded without
gradients, the loss gives each vector its gradient, and each part is encoded again to pass its own on.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pipeline_tasks.data.interactions import Integers
from pipeline_tasks.encoders.text_encoder import TextEncoder
from pipeline_tasks.encoders.tokenized_texts import TokenizedTexts

_CPU_GROUP = 32
"""Texts of like length encoded together on a CPU; a GPU takes a whole part."""


def encode_rows(encoder: TextEncoder, tokens: TokenizedTexts, ordered: Integers, part: int) -> Tensor:
    """Return (n, width) vectors of the distinct texts `ordered`, the shortest first, with gradients where there are."""
    most = min(part, _CPU_GROUP) if encoder.model.device.type == "cpu" else part
    return torch.cat([encoder.vectors(group) for group in tokens.groups(ordered, most)])


def backward_through_parts(
    encoder: TextEncoder, tokens: TokenizedTexts, ordered: Integers, loss_of: Callable[[Tensor], Tensor], part: int
) -> float:
    """Add the gradient of loss_of((n, width) vectors of the texts `ordered`) to the encoder, `part` texts at a time.

    With all texts in one part nothing is encoded twice. Returns the loss.
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
        # The same dropout as the first time: the gradient belongs to those very vectors.
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
