"""Gradient caching: the loss of a large batch with the memory of a small one.

Gao et al. 2021, Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup: all texts are encoded without
gradients, the loss gives each vector its gradient, and each part is encoded again to pass its own on.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pipeline_tasks.text_encoder import TextEncoder


def backward_through_parts(
    encoder: TextEncoder, texts: list[str], loss_of: Callable[[Tensor], Tensor], part: int
) -> float:
    """Add the gradient of loss_of((texts, width) vectors) to the encoder's parameters, `part` texts at a time.

    With all texts in one part nothing is encoded twice. Returns the loss.
    """
    if part >= len(texts):
        loss = loss_of(encoder.vectors(encoder.tokenize(texts)))
        loss.backward()
        return float(loss.item())
    states, blocks = [], []
    for start in range(0, len(texts), part):
        states.append(_random_state(encoder))
        with torch.no_grad():
            blocks.append(encoder.vectors(encoder.tokenize(texts[start : start + part])))
    vectors = torch.cat(blocks).requires_grad_()
    loss = loss_of(vectors)
    loss.backward()
    assert vectors.grad is not None
    for number, state in enumerate(states):
        chosen = slice(number * part, (number + 1) * part)
        # The same dropout as the first time: the gradient belongs to those very vectors.
        _restore(encoder, state)
        again = encoder.vectors(encoder.tokenize(texts[chosen]))
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
