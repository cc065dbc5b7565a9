"""Content of items: the vocabulary of their structured values, and raw vectors of text and image.

An item without a text or an image has the block's center, so that its whitened vector is 0.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from pipeline_tasks.config.training_settings import TrainingSettings
from pipeline_tasks.data.interactions import Floats, Integers
from pipeline_tasks.data.item_catalog import ItemCatalog
from pipeline_tasks.encoders.image_encoder import image_block, load_image_encoder
from pipeline_tasks.encoders.text_encoder import TextEncoder
from pipeline_tasks.encoders.trainable_encoder import open_encoder

MAX_VALUES: Final = 50_000
"""Maximum size of the vocabulary; the most frequent values are kept."""
MAX_VALUES_PER_ITEM: Final = 32
"""Maximum number of values of one item; the first ones are kept, which bounds the width of the table."""


@dataclass(frozen=True)
class ItemVocabulary:
    """The values in the order of their numbers, which start at 1; 0 means none."""

    values: list[str]

    def __len__(self) -> int:
        return len(self.values)

    def numbers(self, items: Sequence[Sequence[str]]) -> Integers:
        """Return (items, most values of an item): the numbers of each item's values, 0 where it has no more.

        Values that are not in the vocabulary are left out.
        """
        numbers = {value: number for number, value in enumerate(self.values, start=1)}
        known = [[numbers[value] for value in own if value in numbers][:MAX_VALUES_PER_ITEM] for own in items]
        table = np.zeros((len(items), max(map(len, known), default=0)), dtype=np.int64)
        for row, own in enumerate(known):
            table[row, : len(own)] = own
        return table


def fit_vocabulary(items: Sequence[Sequence[str]]) -> ItemVocabulary:
    """Return the vocabulary of the values that at least two, but not all, of `items` have."""
    counts = Counter(value for values in items for value in values)
    shared = [value for value, count in counts.items() if 1 < count < len(items)]
    return ItemVocabulary(sorted(sorted(shared, key=lambda value: (-counts[value], value))[:MAX_VALUES]))


@dataclass(frozen=True)
class ContentEncoders:
    """The encoders and the vocabulary with which items of another day are described."""

    text: str
    adapter: Path | None
    """Folder of the tuned weights of the text encoder (a LoRA adapter or all weights); None if used as published."""
    vocabulary: ItemVocabulary
    image: str = ""
    """Name of the vision model; "" if images are not used."""

    def open_text(self, device: str) -> TextEncoder:
        """Load the text encoder with its tuned weights."""
        return open_encoder(self.text, self.adapter, device)


@dataclass(frozen=True)
class Content:
    """The content of a catalog that a model is fitted on."""

    raw: Floats
    """(items, sum of widths), finite."""
    widths: tuple[int, ...]
    """Widths of the blocks: text, then images if they are used."""
    vocabulary: ItemVocabulary
    values: Integers
    """(items, most values of an item) numbers of structured values, see `ItemVocabulary`."""


def fit_content(
    catalog: ItemCatalog, seen: Integers, texts: Floats, training: TrainingSettings, device: str
) -> Content:
    """Return the content of the catalog; vocabulary and centers are fitted on the items `seen` in training alone.

    Args:
        texts: (items, width) of `text_block`.
    """
    vocabulary, blocks = fit_vocabulary([catalog.values[item] for item in seen]), [texts]
    if training.image_encoder:
        blocks.append(image_block(load_image_encoder(training.image_encoder, device), catalog.images))
    raw, widths = join_blocks(blocks, _centers(blocks, seen)), tuple(block.shape[1] for block in blocks)
    return Content(raw, widths, vocabulary, vocabulary.numbers(catalog.values))


def text_block(encoder: TextEncoder, texts: Sequence[str]) -> Floats:
    """Return (items, width) vectors of the texts, NaN for an item without one."""
    given = [place for place, text in enumerate(texts) if text]
    block = np.full((len(texts), encoder.width), np.nan, dtype=np.float32)
    block[given] = encoder.encode([texts[place] for place in given])
    return block


def recall_block(
    wanted: Sequence[str | None],
    known: Sequence[str | None],
    vectors: Floats,
    encode: Callable[[list[str]], Floats],
) -> Floats:
    """Return (wanted, width) vectors of texts or images: from `vectors` for `known` ones, by `encode` for new ones.

    Rows of empty entries are NaN, as in `text_block`. `encode` is not called if nothing is new, as in most runs.
    """
    places = {key: place for place, key in enumerate(known) if key}
    new = sorted({key for key in wanted if key and key not in places})
    places |= {key: len(vectors) + number for number, key in enumerate(new)}
    missing = np.full((1, vectors.shape[1]), np.nan, dtype=np.float32)
    table = np.concatenate([vectors, encode(new), missing] if new else [vectors, missing])
    return np.asarray(table[[places.get(key or "", len(table) - 1) for key in wanted]], dtype=np.float32)


def join_blocks(blocks: Sequence[Floats], centers: Floats) -> Floats:
    """Return (items, sum of widths): the blocks side by side, with NaN replaced by `centers` (sum of widths,)."""
    joined = np.concatenate(blocks, axis=1)
    return np.asarray(np.where(np.isnan(joined), centers, joined), dtype=np.float32)


def _centers(blocks: Sequence[Floats], seen: Integers) -> Floats:
    """Return (sum of widths,): the mean of each column over the items `seen` that have the block; 0 if none has it."""
    joined = np.concatenate([block[seen] for block in blocks], axis=1)
    given = ~np.isnan(joined)
    sums = np.where(given, joined, 0).sum(axis=0, dtype=np.float64)
    return np.asarray(sums / np.maximum(given.sum(axis=0), 1), dtype=np.float32)
