"""Tuning of text encoders on a GPU: stage 1 beside its peers, and a large encoder at batches that fill the memory.

Encoders have random weights and a vocabulary of made-up words: the speed depends on neither, and nothing is downloaded.
"""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from pipeline_tasks.data.interactions import Floats, Integers, Interactions
from pipeline_tasks.device import has_bfloat16
from pipeline_tasks.encoders.adapt_encoder import AdaptOptions, adapt_encoder
from pipeline_tasks.encoders.encoder_pairs import PairDraw, item_pairs
from pipeline_tasks.encoders.text_encoder import TextEncoder, TokenizedTexts, load_encoder
from pipeline_tasks.encoders.trainable_encoder import Tuning
from tests.benchmarks.gpu_device import (
    Report,
    Row,
    Sizes,
    bfloat16_peak,
    peak_memory_share,
    peak_row,
    reset_peak_memory,
    synchronize,
)
from tests.pipeline_tasks.logs import random_log

WORDS: Final = 30_000
HALF_FULL: Final = 0.45
"""Share of the memory up to which twice as many pairs still fit."""
RATE: Final = 5e-5


@dataclass(frozen=True)
class Texts:
    """Texts of items, and histories of users with them."""

    texts: list[str]
    log: Interactions
    folder: Path
    """An encoder for them, as `load_encoder` reads it."""
    device: str

    def encoder(self) -> TextEncoder:
        """Return the encoder as it was before any tuning."""
        return load_encoder(str(self.folder), self.device)

    @cached_property
    def draw(self) -> PairDraw:
        """Draws their pairs."""
        return PairDraw(item_pairs(self.log, len(self.texts)), len(self.texts))

    @cached_property
    def lengths(self) -> Floats:
        """(n,) tokens of each text."""
        tokens = TokenizedTexts(self.encoder(), self.texts)
        return tokens.lengths[tokens.text_of].astype(np.float32)


def _texts(config: dict[str, int], texts: int, folder: Path, device: str) -> Texts:
    """Return random texts of 10 to 40 tokens, the length of titles with category and brand, and their encoder."""
    rng, words = np.random.default_rng(1), [f"word{number}" for number in range(WORDS)]
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])}
    torch.manual_seed(1)
    BertModel(BertConfig.from_dict(config)).save_pretrained(folder)
    BertTokenizer(vocab=vocabulary, model_max_length=512).save_pretrained(folder)
    drawn = [" ".join(f"word{word}" for word in rng.integers(0, WORDS, rng.integers(8, 39))) for _ in range(texts)]
    return Texts(drawn, random_log(texts, texts, seed=1), folder, device)


@dataclass
class StepClock:
    """Marks the end of every step."""

    marks: list[float] = field(default_factory=list)

    def __call__(self, step: int, loss: float) -> None:
        self.marks.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        """The median step, without the first."""
        return statistics.median(later - earlier for earlier, later in itertools.pairwise(self.marks))


def measure_stage_one(sizes: Sizes, report: Report) -> None:
    """Report the pairs per second of stage 1, beside a plain loop and sentence-transformers' trainer."""
    peak = bfloat16_peak(sizes)
    report(peak_row(peak, sizes))
    with tempfile.TemporaryDirectory() as work:
        texts = _texts(sizes.small_encoder, sizes.texts, Path(work), sizes.device)
        for pairs in sizes.pairs:
            for tuning in ("lora", "full"):
                report(_tuned_row("Nightshelf", texts, tuning, pairs, sizes.steps, peak))
            for what, learn in _peers().items():
                left, right = texts.draw.draw(pairs * 5, np.random.default_rng(4))
                operations = _operations(texts, np.concatenate([left, right]), "full") / 5
                seconds = learn(texts, pairs, sizes.steps)
                report(_row(f"{what}, full", pairs, seconds, operations / seconds / peak))


def _peers() -> dict[str, Callable[[Texts, int, int], float]]:
    """Return name -> the function that returns the seconds of a step; all train all weights."""
    peers: dict[str, Callable[[Texts, int, int], float]] = {"plain loop": _plain_loop}
    if find_spec("sentence_transformers") and find_spec("datasets"):
        return peers | {"sentence-transformers": _sentence_transformers}
    print("sentence-transformers or datasets is not installed: the plain loop stands for its trainer", flush=True)
    return peers


def measure_large_encoder(sizes: Sizes, report: Report) -> None:
    """Report LoRA and full fine-tuning of an encoder of BERT's size, with twice the pairs while they fit."""
    peak = bfloat16_peak(sizes)
    report(peak_row(peak, sizes))
    with tempfile.TemporaryDirectory() as work:
        texts = _texts(sizes.large_encoder, sizes.texts, Path(work), sizes.device)
        weights = sum(weight.numel() for weight in texts.encoder().model.parameters())
        what = f"BERT of {weights / 1e6:.0f} million weights"
        for tuning in ("lora", "full"):
            pairs, most = sizes.large_pairs
            while pairs <= most:
                row = _tuned_row(what, texts, tuning, pairs, sizes.steps, peak)
                report(row)
                if row["memory_share"] > HALF_FULL:
                    break
                pairs *= 2


def _tuned_row(what: str, texts: Texts, tuning: Tuning, pairs: int, steps: int, peak: float) -> Row:
    """Return the speed of `adapt_encoder`, which encodes each distinct text of a step once, all in one part."""
    encoder, clock = texts.encoder(), StepClock()
    options = AdaptOptions(tuning, steps=steps, pairs=pairs, part=max(256, 2 * pairs), patience=steps)
    reset_peak_memory(texts.device)
    with tempfile.TemporaryDirectory() as work:
        tuned = adapt_encoder(encoder, texts.log, texts.texts, options, folder=Path(work), after_step=clock)
    if tuned.stopped:
        raise RuntimeError(tuned.stopped)
    draw, rng = texts.draw, np.random.default_rng(4)
    drawn = [np.unique(np.concatenate(draw.draw(pairs, rng, options.walk))) for _ in range(5)]
    operations = statistics.mean(_operations(texts, rows, tuning) for rows in drawn)
    row = _row(f"{what}, {tuning}", pairs, clock.seconds, operations / clock.seconds / peak)
    return row | {"memory_share": peak_memory_share(texts.device)}


def _row(what: str, pairs: int, seconds: float, share: float) -> Row:
    return {
        "what": f"{what}, {pairs:,} pairs a step",
        "figure": pairs / seconds,
        "unit": "pairs per second",
        "share_of_peak": share,
    }


def _operations(texts: Texts, rows: Integers, tuning: Tuning) -> float:
    """Return the operations of a step that encodes the texts `rows`.

    Chowdhery et al. 2022 (PaLM), appendix B: 6 for each weight of the blocks and each token, and 12 x layers x width
    for each pair of a text's tokens. LoRA needs no gradients of the weights: 4 instead of 6.
    """
    lengths, config = texts.lengths[rows].astype(np.float64), BertConfig.from_pretrained(texts.folder)
    width, layers = config.hidden_size, config.num_hidden_layers
    weights = layers * (4 * width**2 + 2 * width * config.intermediate_size)
    each = 4 if tuning == "lora" else 6
    return float(each * weights * lengths.sum() + 12 * layers * width * (lengths**2).sum())


def _plain_loop(texts: Texts, pairs: int, steps: int) -> float:
    """Return the seconds of a step of a plain loop: tokenize a batch, encode both texts of each pair, in-batch loss."""
    encoder, rng = texts.encoder(), np.random.default_rng(2)
    encoder.model.train()
    optimizer = torch.optim.AdamW(encoder.model.parameters(), lr=RATE, weight_decay=0.01, fused=True)
    draw, clock, half = texts.draw, StepClock(), has_bfloat16(torch.device(texts.device))
    for step in range(steps + 1):
        sides = draw.draw(pairs, rng)
        with torch.autocast(encoder.model.device.type, torch.bfloat16, enabled=half):
            first, second = (encoder.vectors(encoder.tokenize([texts.texts[row] for row in side])) for side in sides)
            own = torch.arange(pairs, device=first.device)
            loss = torch.nn.functional.cross_entropy(20 * (first @ second.T).float(), own)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        synchronize(texts.device)
        clock(step, 0.0)
    return clock.seconds


def _sentence_transformers(texts: Texts, pairs: int, steps: int) -> float:
    from sentence_transformers import SentenceTransformer

    from tests.benchmarks.sentence_trainer import train_steps

    model = SentenceTransformer(str(texts.folder), device=texts.device)
    half, rng = has_bfloat16(torch.device(texts.device)), np.random.default_rng(2)
    with tempfile.TemporaryDirectory() as work:
        taken = train_steps(model, texts.texts, texts.draw, rng, pairs=pairs, steps=steps, folder=Path(work), half=half)
    return statistics.median(taken)
