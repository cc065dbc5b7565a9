"""The weights of a text encoder that are fine-tuned, and how they are saved: a LoRA adapter or the whole encoder."""

import warnings
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from pipeline_tasks.encoders.pretrained_weights import UNREADABLE, EncoderError, reason, refuse_broken
from pipeline_tasks.encoders.text_encoder import TextEncoder, load_encoder

Tuning = Literal["lora", "last_layers", "full"]
_RANK = 16


def make_trainable(encoder: TextEncoder, tuning: Tuning, layers: int = 2) -> TextEncoder:
    """Return the encoder with gradients enabled for exactly the weights that `tuning` names.

    lora: rank-16 adapters of all linear layers (Hu et al. 2021). last_layers: the last `layers` blocks. full: all
    weights.

    Raises:
        EncoderError: the tuning is unknown, or the encoder has fewer blocks than `layers`.
    """
    model = encoder.model
    if tuning == "lora":
        from peft import LoraConfig, get_peft_model

        # all-linear, because the names of projections differ between architectures.
        lora = LoraConfig(r=_RANK, lora_alpha=2 * _RANK, lora_dropout=0.05, target_modules="all-linear")
        model = get_peft_model(model, lora)
    elif tuning == "last_layers":
        model.requires_grad_(requires_grad=False)
        for block in _last_blocks(encoder, layers):
            block.requires_grad_(requires_grad=True)
    elif tuning == "full":
        model.requires_grad_(requires_grad=True)
    else:
        raise EncoderError(f"tuning {tuning!r} is unknown: use {', '.join(get_args(Tuning))}")
    return TextEncoder(encoder.name, encoder.tokenizer, model)


def save_tuned(encoder: TextEncoder, folder: Path) -> TextEncoder:
    """Write the tuned weights to `folder`, and return the encoder ready for use, with an adapter merged."""
    encoder.model.save_pretrained(str(folder))
    if hasattr(encoder.model, "merge_and_unload"):
        return TextEncoder(encoder.name, encoder.tokenizer, encoder.model.merge_and_unload())
    encoder.tokenizer.save_pretrained(str(folder))
    return encoder


def open_encoder(name: str, tuned: Path | None, device: str) -> TextEncoder:
    """Return the encoder `name`, with the weights that `save_tuned` wrote to the folder `tuned`, if given.

    Raises:
        EncoderError: the encoder or its tuned weights cannot be loaded or are incomplete.
    """
    if tuned is None:
        return load_encoder(name, device)
    if not (tuned / "adapter_config.json").exists():
        whole = load_encoder(str(tuned), device)
        return TextEncoder(name, whole.tokenizer, whole.model)
    encoder = load_encoder(name, device)
    encoder.model = _merged(encoder, tuned)
    refuse_broken(f"text encoder {name!r} with the adapter {tuned}", encoder.model)
    return encoder


def _merged(encoder: TextEncoder, adapter: Path) -> Any:  # noqa: ANN401
    from peft import PeftModel

    try:
        with warnings.catch_warnings():
            # An adapter that lacks weights changes nothing there; this warning is the only sign.
            warnings.filterwarnings("error", "Found missing adapter keys")
            return PeftModel.from_pretrained(encoder.model, adapter).merge_and_unload()
    except (*UNREADABLE, UserWarning) as error:
        raise EncoderError(
            f"adapter {adapter} of text encoder {encoder.name!r} cannot be loaded ({reason(error)}): train the "
            "candidate anew, or use an older version of the model"
        ) from error


def _last_blocks(encoder: TextEncoder, layers: int) -> list[Any]:
    """Return the last `layers` blocks of the longest module list, which is the transformer's stack."""
    stacks = [module for module in encoder.model.modules() if isinstance(module, torch.nn.ModuleList)]
    stack = max(stacks, key=len, default=torch.nn.ModuleList())
    if len(stack) < layers:
        raise EncoderError(
            f"encoder {encoder.name} has {len(stack)} blocks, {layers} are to be tuned: lower training.encoder_layers"
        )
    return list(stack)[len(stack) - layers :]
