"""Weights of pre-trained models as their files hold them: what is missing or broken there is refused.

transformers fills up what is missing with random numbers, and torch computes with NaN: neither ends a training, both
spoil its model.
"""

import pickle
from collections.abc import Sequence
from typing import Any, Final

import torch
from safetensors import SafetensorError
from transformers import AutoModel

UNREADABLE: Final = (OSError, ValueError, KeyError, RuntimeError, EOFError, SafetensorError, pickle.UnpicklingError)
"""What reading a model's files raises: they are not there, cut short, or do not belong together."""
_NAMED: Final = 3


class EncoderError(ValueError):
    """An encoder cannot be loaded, or is not what it says it is."""


def read_weights(path: str) -> tuple[Any, list[str]]:
    """Return the model at `path`, and the names of the weights that its files lack, which are random numbers."""
    model, told = AutoModel.from_pretrained(path, output_loading_info=True)
    return model, sorted(told["missing_keys"])


def is_pooler(weight: str) -> bool:
    """Return whether a weight is of the pooler behind the last layer: no part of what is said of the single places."""
    return "pooler" in weight.split(".")


def refuse_missing(encoder: str, missing: Sequence[str]) -> None:
    """Raise EncoderError where weights are missing.

    Args:
        encoder: as messages name it. missing: names of weights that its vectors depend on.
    """
    if missing:
        some = ", ".join(missing[:_NAMED]) + (", …" if len(missing) > _NAMED else "")
        raise EncoderError(
            f"the files of {encoder} lack {len(missing)} of its weights ({some}), which would be random numbers: give "
            "a folder whose config.json and weights belong together"
        )


def refuse_broken(encoder: str, model: torch.nn.Module) -> None:
    """Raise EncoderError where weights of `model` are not finite; `encoder` is as messages name it."""
    for name, weight in model.state_dict().items():
        broken = int((~torch.isfinite(weight)).sum())
        if broken:
            raise EncoderError(
                f"{broken} of {weight.numel()} numbers in {name} of {encoder} are not finite, and so would be its "
                "vectors: fetch its files anew, or give another encoder"
            )


def reason(error: BaseException) -> str:
    """Return what the error says, its kind where it says nothing."""
    return str(error) or type(error).__name__
