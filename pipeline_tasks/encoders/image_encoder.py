"""Vectors of item pictures by a Hugging Face vision model. It is off unless training.image_encoder names one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from pyarrow import fs
from torch.nn.functional import normalize

# Not from the transformers top level, which requires torchvision. Pillow reads the pictures without it.
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from pipeline_tasks.data.interactions import Floats
from pipeline_tasks.encoders.pretrained_weights import (
    UNREADABLE,
    EncoderError,
    is_pooler,
    read_weights,
    reason,
    refuse_broken,
    refuse_missing,
)

_BATCH: Final = 32


class ImageError(ValueError):
    """A picture of the catalog cannot be read."""


class ImageEncoder:
    """Processor and vision model. A picture's vector is the model's pooled output, scaled to length 1.

    Without a pooler it is the mean over the positions. A model of pictures and texts gives its image features.
    """

    def __init__(self, processor: Any, model: Any, *, pools: bool = True) -> None:  # noqa: ANN401
        self.processor, self.model, self.pools = processor, model, pools

    @torch.inference_mode()
    def encode(self, pictures: list[Image.Image]) -> Floats:
        """Return (n, width) float32."""
        pixels = self.processor(images=pictures, return_tensors="pt").to(self.model.device)
        get = getattr(self.model, "get_image_features", self.model)
        found = get(**pixels)
        vectors = getattr(found, "pooler_output", None) if self.pools else None
        vectors = found.last_hidden_state.mean(dim=1) if vectors is None else vectors
        return np.asarray(normalize(vectors.flatten(1), dim=1).float().cpu().numpy(), dtype=np.float32)


def load_image_encoder(name: str, device: str = "cpu") -> ImageEncoder:
    """Return the vision model `name`, a Hugging Face id or a path.

    Raises:
        EncoderError: it does not exist, is incomplete, or is no vision model.
    """
    try:
        processor = AutoImageProcessor.from_pretrained(name, backend="pil")
        model, missing = read_weights(name)
    except UNREADABLE as error:
        raise EncoderError(
            f"image encoder {name!r} cannot be loaded ({reason(error)}): give a Hugging Face id that this machine can "
            "reach, or a folder with config.json, preprocessor_config.json and a model.safetensors that is whole"
        ) from error
    refuse_missing(f"image encoder {name!r}", [weight for weight in missing if not is_pooler(weight)])
    refuse_broken(f"image encoder {name!r}", model)
    # Files of a classifier hold no pooler. A randomly initialized one would differ in every run.
    return ImageEncoder(processor, model.to(device).train(mode=False), pools=not missing)


def image_block(encoder: ImageEncoder, images: Sequence[str | None]) -> Floats:
    """Return (items, width) vectors of the pictures, NaN for items without one. Each picture is read once.

    Raises:
        ImageError: a picture is missing or broken, or its vector is not finite.
    """
    unique = sorted({image for image in images if image})
    # A blank picture gives the width, which models name differently, even where no item has a picture.
    parts = [np.full_like(encoder.encode([Image.new("RGB", (64, 64))]), np.nan)]
    for start in range(0, len(unique), _BATCH):
        batch = unique[start : start + _BATCH]
        parts.append(encoder.encode([open_picture(image) for image in batch]))
        _refuse_broken(parts[-1], batch)
    place = {image: row for row, image in enumerate(unique, start=1)}
    return np.asarray(np.concatenate(parts)[[place.get(image or "", 0) for image in images]], dtype=np.float32)


def _refuse_broken(vectors: Floats, images: Sequence[str]) -> None:
    """Raise ImageError for NaN, which stands for an item without a picture."""
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        raise ImageError(
            f"picture {images[broken[0]]} has a vector that is not finite: set training.image_encoder to another model"
        )


def open_picture(image: str) -> Image.Image:
    """Return the picture at a path or URI in RGB.

    Raises:
        ImageError: it is missing or broken.
    """
    try:
        system, path = fs.FileSystem.from_uri(image if "://" in image else str(Path(image).resolve()))
        with system.open_input_file(path) as file:
            return Image.open(file).convert("RGB")
    # Pillow raises OSError (unknown format, truncated file) and SyntaxError (broken PNG).
    except (OSError, SyntaxError, pa.ArrowInvalid) as error:
        raise ImageError(
            f"picture {image} cannot be read ({error}): repair the file, clear the item's attribute image, or set "
            "training.image_encoder to nothing"
        ) from error
