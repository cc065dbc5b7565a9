"""How many tokens of a text an encoder reads, and what is said of texts that have more."""

from typing import Any

from torch import nn


def most_tokens(tokenizer: Any, model: Any, wanted: int) -> int:  # noqa: ANN401
    """Return `wanted`, or fewer where tokenizer or model take no more."""
    limits = [wanted, int(tokenizer.model_max_length)]
    # Not positive, or not there at all, where a model tells places apart by their distance alone.
    places = getattr(model.config, "max_position_embeddings", None) or 0
    if places > 0:
        limits.append(places - _unused_places(model))
    return max(1, min(limits))


def _unused_places(model: nn.Module) -> int:
    """Return how many places stand for none: RoBERTa and its kin count from behind the one of padding."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            return int(module.padding_idx) + 1
    return 0


def cut_texts(tokens: Any, limit: int) -> int:  # noqa: ANN401
    """Return how many texts of a tokenizer's answer were cut.

    A tokenizer in Python does not say: there, whatever fills the limit counts.
    """
    if tokens.encodings is None:
        return sum(int(sum(mask)) >= limit for mask in tokens["attention_mask"])
    return sum(bool(text.overflowing) for text in tokens.encodings)


def say_cut(encoder: str, cut: int, texts: int, limit: int) -> None:
    """Print that texts were cut, where some were."""
    if cut:
        print(
            f"text encoder {encoder} reads {limit} tokens of a text: {cut:,} of {texts:,} texts are longer, and were "
            "cut there",
            flush=True,
        )
