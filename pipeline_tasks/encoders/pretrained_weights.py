"""Checks of pre-trained weights: missing or broken weights are refused.

transformers replaces missing weights by random numbers, and torch computes with NaN. Neither ends a training, but both
spoil the model.
"""

import pickle
from collections.abc import Sequence
from typing import Any, Final

import torch
from safetensors import SafetensorError
from transformers import AutoModel

UNREADABLE: Final = (OSError, ValueError, KeyError, RuntimeError, EOFError, SafetensorError, pickle.UnpicklingError)
"""Errors of reading a model's files: they are missing, truncated, or do not belong together."""
_MOST_NAMED: Final = 3


class EncoderError(ValueError):
    """An encoder cannot be loaded, or its files are not the published ones."""


def read_weights(path: str) -> tuple[Any, list[str]]:
    """Return the model at `path`, and the names of weights that its files lack. Those have random values."""
    model, loading_info = AutoModel.from_pretrained(path, output_loading_info=True)
    return model, sorted(loading_info["missing_keys"])


def is_pooler(weight: str) -> bool:
    """Return whether a weight belongs to the pooler after the last layer, which no token vector depends on."""
    return "pooler" in weight.split(".")


def refuse_missing(encoder: str, missing: Sequence[str]) -> None:
    """Raise EncoderError where weights are missing.

    Args:
        encoder: its name in messages. missing: names of weights that its vectors depend on.
    """
    if missing:
        some = ", ".join(missing[:_MOST_NAMED]) + (", …" if len(missing) > _MOST_NAMED else "")
        raise EncoderError(
            f"the files of {encoder} lack {len(missing)} of its weights ({some}), which would be random numbers: give "
            "a folder whose config.json and weights belong together"
        )


def refuse_broken(encoder: str, model: torch.nn.Module) -> None:
    """Raise EncoderError where weights of `model` are not finite. `encoder` is its name in messages."""
    for name, weight in model.state_dict().items():
        broken = int((~torch.isfinite(weight)).sum())
        if broken:
            raise EncoderError(
                f"{broken} of {weight.numel()} numbers in {name} of {encoder} are not finite, and so would be its "
                "vectors: fetch its files anew, or give another encoder"
            )


def reason(error: BaseException) -> str:
    """Return the error's message, or its type where the message is empty."""
    return str(error) or type(error).__name__
