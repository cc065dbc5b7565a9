"""Gradient caching: the loss of a large batch with the memory of a small one.

Gao et al. 2021, Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup. All texts are encoded without
gradients. The loss gives the gradient of each vector. Then each part is encoded again, to pass on its gradient.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pipeline_tasks.data.interactions import Integers
from pipeline_tasks.encoders.text_encoder import TextEncoder
from pipeline_tasks.encoders.tokenized_texts import TokenizedTexts

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
