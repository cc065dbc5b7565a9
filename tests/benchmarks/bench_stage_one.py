"""Stage 1, full fine-tuning of the default encoder, beside sentence-transformers' trainer on as many pairs.

pytest -s tests/benchmarks/bench_stage_one.py
NIGHTSHELF_BENCH_STEPS=4 NIGHTSHELF_BENCH_ROUNDS=3 pytest -s tests/benchmarks/bench_stage_one.py -k beauty

Same titles, model, batch size, rate, threads and number of pairs; the loss is in-batch InfoNCE at the same temperature
(MultipleNegativesRankingLoss there). Steps alone are timed, of the process and not of the clock, so that a busy machine
meets both alike. Quality is the recall of held-out pairs after all rounds: for the first text of each, whether the
second is among the ten nearest of all held-out texts.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from pipeline_tasks.data.interactions import Floats
from pipeline_tasks.encoders.adapt_encoder import AdaptOptions, open_weights
from pipeline_tasks.encoders.encoder_pairs import PairDraw, Pairs, hold_out, item_pairs
from pipeline_tasks.encoders.pair_batch import PairBatch
from pipeline_tasks.encoders.text_encoder import (
    MAX_TOKENS,
    PACKAGED_ENCODER,
    TokenizedTexts,
    _packaged_path,
    load_encoder,
)
from pipeline_tasks.encoders.trainable_encoder import make_trainable
from spark_jobs.simulation.shop_words import BRANDS, CATEGORIES, COLORS, MATERIALS, STYLES
from tests.benchmarks.sentence_trainer import RATE, train_steps
from tests.benchmarks.sequence_sets import read_amazon_beauty
from tests.benchmarks.side_by_side import write_results
from tests.pipeline_tasks.logs import random_log

PAIRS: Final = int(os.environ.get("NIGHTSHELF_BENCH_PAIRS", "128"))
STEPS: Final = int(os.environ.get("NIGHTSHELF_BENCH_STEPS", "4"))
ROUNDS: Final = int(os.environ.get("NIGHTSHELF_BENCH_ROUNDS", "5"))
HELD_OUT: Final = int(os.environ.get("NIGHTSHELF_BENCH_HELD_OUT", "1000"))
"""Pairs; a standard error of .016 of their recall."""


@dataclass
class Contender:
    """One who trains on, round by round."""

    learn: Callable[[int], list[float]]
    """Takes steps, returns the processor seconds of each."""
    encode: Callable[[list[str]], Floats]
    seconds: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Pairs per processor second: the median over rounds."""
        return PAIRS / median(self.seconds)


@pytest.mark.real_data
def test_beauty(shared_data: Path, tmp_path: Path) -> None:
    data = read_amazon_beauty(shared_data)
    pairs = item_pairs(data.parts.known_before("validation"), len(data.catalog))
    race("beauty", "Amazon Beauty, titles and category paths", data.catalog.texts, pairs, tmp_path)


def test_simulated_shop(tmp_path: Path) -> None:
    """Short titles, many of them equal, as those without the public data have them."""
    texts = [_shop_text(item) for item in range(1_500)]
    race(
        "shop",
        "1,500 titles of the simulated shop",
        texts,
        item_pairs(random_log(1_500, 1_500, seed=1), 1_500),
        tmp_path,
    )


def _shop_text(item: int) -> str:
    department, shelf, noun = CATEGORIES[item // 12 % len(CATEGORIES)]
    words = (STYLES[item // 240 % len(STYLES)], COLORS[item * 5 % len(COLORS)], MATERIALS[item % len(MATERIALS)])
    brand = BRANDS[item // 3 % len(BRANDS)]
    return f"{' '.join(words)} {noun} by {brand}. {department} > {shelf} > {noun}s. {brand}"


def race(name: str, size: str, texts: list[str], pairs: Pairs, folder: Path) -> None:
    """Let all learn in turn, and write what was measured."""
    learned, held = hold_out(pairs, HELD_OUT, np.random.default_rng(1))
    draw = PairDraw(learned, len(texts))
    contenders = {
        "ours": _ours(texts, draw),
        "sentence-transformers, float32": _theirs(texts, draw, folder, half=False),
        "sentence-transformers, bfloat16": _theirs(texts, draw, folder, half=True),
    }
    start = _recall(load_encoder(PACKAGED_ENCODER).encode, texts, held)
    for _ in range(ROUNDS):
        for one in contenders.values():
            one.seconds.append(median(one.learn(STEPS)))
    recalls = {name: round(_recall(one.encode, texts, held), 4) for name, one in contenders.items()}
    rows = [_row(size, contenders, recalls, peer, start) for peer in contenders if peer != "ours"]
    write_results(f"stage_one_{name}", rows)
    print(recalls, "before:", round(start, 4))


def _row(
    size: str, contenders: dict[str, Contender], recalls: dict[str, float], peer: str, start: float
) -> dict[str, Any]:
    ours, theirs = contenders["ours"], contenders[peer]
    return {
        "name": "stage 1, full fine-tuning",
        "size": f"{size}; {PAIRS} pairs a batch",
        "ours": round(ours.rate, 1),
        "peer": peer,
        "peer_figure": round(theirs.rate, 1),
        "ratio": round(ours.rate / theirs.rate, 2),
        "unit": "pairs per second of processor time",
        "runs": ROUNDS,
        "steps": ROUNDS * STEPS,
        "threads": torch.get_num_threads(),
        "recall_before": round(start, 4),
        "recall_ours": recalls["ours"],
        "recall_peer": recalls[peer],
    }


def _ours(texts: list[str], draw: PairDraw) -> Contender:
    encoder = make_trainable(load_encoder(PACKAGED_ENCODER), "full")
    encoder.model.train()
    options, rng = AdaptOptions("full", pairs=PAIRS), np.random.default_rng(2)
    batch = PairBatch(encoder, TokenizedTexts(encoder, texts), draw, options.part)

    def learn(steps: int) -> list[float]:
        # Anew every round, as theirs is.
        optimizer = torch.optim.AdamW(open_weights(encoder), lr=RATE, weight_decay=0.01, fused=True)
        taken = []
        encoder.model.train()
        for _ in range(steps):
            started = time.process_time()
            batch.backward(draw.draw(PAIRS, rng, options.walk))
            optimizer.step()
            optimizer.zero_grad()
            taken.append(time.process_time() - started)
        return taken

    return Contender(learn, encoder.encode)


def _theirs(texts: list[str], draw: PairDraw, folder: Path, *, half: bool) -> Contender:
    model = SentenceTransformer(str(_packaged_path()), device="cpu")
    model.max_seq_length = MAX_TOKENS
    rng = np.random.default_rng(2)

    def learn(steps: int) -> list[float]:
        return train_steps(
            model, texts, draw, rng, pairs=PAIRS, steps=steps, folder=folder, half=half, clock=time.process_time
        )

    def encode(given: list[str]) -> Floats:
        return np.asarray(model.encode(given, normalize_embeddings=True, show_progress_bar=False), dtype=np.float32)

    return Contender(learn, encode)


def _recall(encode: Callable[[list[str]], Floats], texts: list[str], held: Pairs, k: int = 10) -> float:
    rows = np.unique(np.concatenate([held.left, held.right]))
    vectors = encode([texts[row] for row in rows])
    left, right = np.searchsorted(rows, held.left), np.searchsorted(rows, held.right)
    scores = vectors[left] @ vectors.T
    scores[np.arange(len(left)), left] = -np.inf
    nearest = np.argpartition(-scores, k, axis=1)[:, :k]
    return float((nearest == right[:, None]).any(axis=1).mean())
