from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from pipeline_tasks.encoders.adapt_encoder import AdaptOptions, AskedItems, adapt_encoder, open_weights
from pipeline_tasks.encoders.cached_gradients import backward_through_parts
from pipeline_tasks.encoders.encoder_pairs import PairDraw, Pairs
from pipeline_tasks.encoders.pair_batch import PairBatch
from pipeline_tasks.encoders.pretrained_weights import EncoderError
from pipeline_tasks.encoders.text_encoder import PACKAGED_ENCODER, TextEncoder, load_encoder
from pipeline_tasks.encoders.tokenized_texts import TokenizedTexts
from pipeline_tasks.encoders.trainable_encoder import Tuning, make_trainable, open_encoder
from tests.pipeline_tasks.logs import log_of


@pytest.mark.parametrize("tuning", get_args(Tuning))
def test_tuning_brings_what_is_wanted_together_nearer_and_is_read_back(tuning: Tuning, tmp_path: Path) -> None:
    texts = ["red kettle", "blue sofa", "green bicycle", "white candle"]
    log = log_of({f"u{n}": [(0, 1), (1, 2)] if n % 2 else [(2, 1), (3, 2)] for n in range(6)})
    before = load_encoder(PACKAGED_ENCODER).encode(texts)
    options = AdaptOptions(tuning, steps=12, pairs=8, learning_rate=1e-3 if tuning == "lora" else 2e-4)
    after = adapt_encoder(load_encoder(PACKAGED_ENCODER), log, texts, options, folder=tmp_path).encode(texts)

    def contrast(vectors: np.ndarray) -> float:
        return float(
            vectors[0] @ vectors[1] + vectors[2] @ vectors[3] - vectors[0] @ vectors[2] - vectors[1] @ vectors[3]
        )

    assert contrast(after) > contrast(before) + 0.1
    again = open_encoder(PACKAGED_ENCODER, tmp_path, "cpu")
    assert not any("lora" in name for name, _ in again.model.named_parameters())
    np.testing.assert_allclose(again.encode(texts), after, atol=1e-5)
    assert torch.isfinite(torch.from_numpy(after)).all()


def test_only_what_is_named_is_tuned() -> None:
    encoder = make_trainable(load_encoder(PACKAGED_ENCODER), "last_layers", 2)
    opened = {name.split(".")[2] for name, weight in encoder.model.named_parameters() if weight.requires_grad}
    assert opened == {"4", "5"}
    with pytest.raises(EncoderError, match="has 6 blocks, 9 are to be tuned"):
        make_trainable(encoder, "last_layers", 9)
    with pytest.raises(EncoderError, match="'some' is unknown: use lora, last_layers, full"):
        make_trainable(encoder, "some")  # type: ignore[arg-type]


def test_parts_give_the_gradients_of_the_whole() -> None:
    texts = [f"{color} {thing}" for color in ("red", "blue", "green") for thing in ("sofa", "bicycle with a basket")]
    encoder = make_trainable(load_encoder(PACKAGED_ENCODER), "last_layers", 1)
    encoder.model.train(mode=False)
    tokens = TokenizedTexts(encoder, texts)
    ordered = tokens.by_length(np.arange(6))
    found = []
    for part in (2, 4, 6):
        encoder.model.zero_grad()
        loss = backward_through_parts(
            encoder, tokens, ordered, lambda vectors: (vectors @ vectors.T).square().sum(), part
        )
        weights = [weight for weight in encoder.model.parameters() if weight.requires_grad]
        found.append((loss, torch.cat([weight.grad.flatten() for weight in weights if weight.grad is not None])))
    assert found[0][0] == pytest.approx(found[2][0], rel=1e-5)
    for _, gradient in found[:2]:
        torch.testing.assert_close(gradient, found[2][1], rtol=1e-3, atol=1e-4)


def test_a_full_gpu_gets_smaller_parts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """No GPU can be filled here: the encoder itself says that it is, as long as it is given more than three texts."""
    texts = [f"thing {number}" for number in range(8)]
    encoder = make_trainable(load_encoder(PACKAGED_ENCODER), "last_layers", 1)
    whole = TextEncoder.vectors

    def vectors(self: TextEncoder, given: dict[str, torch.Tensor]) -> torch.Tensor:
        if len(given["input_ids"]) > 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return whole(self, given)

    monkeypatch.setattr(TextEncoder, "vectors", vectors)
    draw = PairDraw(Pairs(np.arange(4), np.arange(4, 8), np.ones(4, np.float32)), 8)
    batch = PairBatch(encoder, TokenizedTexts(encoder, texts), draw, part=256)
    loss = batch.backward((np.arange(4), np.arange(4, 8)))
    assert np.isfinite(loss)
    assert batch.part == 2
    assert "encoding 2 texts at a time" in capsys.readouterr().out


def test_queries_come_nearer_to_what_was_wanted_after_them(tmp_path: Path) -> None:
    texts = ["red kettle", "blue sofa", "green bicycle", "white candle"]
    log = log_of({f"u{n}": [(0, 1), (1, 2)] if n % 2 else [(2, 1), (3, 2)] for n in range(6)})
    asked = AskedItems(["zorp", "Zorp ", "", "quux"] * 3, np.array([0, 0, 1, 2] * 3))
    words = ["zorp", "quux"]
    encoder = load_encoder(PACKAGED_ENCODER)
    before = encoder.encode(words) @ encoder.encode(texts).T
    options = AdaptOptions("lora", steps=12, pairs=8, learning_rate=1e-3, query_share=0.5)
    tuned = adapt_encoder(encoder, log, texts, options, folder=tmp_path, asked=asked)
    after = tuned.encode(words) @ tuned.encode(texts).T
    assert after[0, 0] - after[0, 2] > before[0, 0] - before[0, 2] + 0.1
    assert after[1, 2] - after[1, 0] > before[1, 2] - before[1, 0] + 0.1


def test_the_weights_kept_are_the_best_on_pairs_held_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The losses are scripted: the best after 2 of 8 measurements, and the training ends three later."""
    texts = [f"{thing} number {number}" for thing in ("sofa", "bicycle", "candle") for number in range(8)]
    log = log_of({f"u{n}": [(n % 3 * 8 + (n + step * 3) % 8, step) for step in range(3)] for n in range(60)})
    losses, kept = iter([3.0, 2.0, 1.0, 1.5, 1.4, 1.3, 0.5]), []

    def loss(self: PairBatch, pairs: object) -> float:
        kept.append(open_weights(self.encoder)[0].detach().clone())
        return next(losses)

    monkeypatch.setattr(PairBatch, "loss", loss)
    options, steps = AdaptOptions("last_layers", layers=1, steps=16, pairs=8, learning_rate=1e-3), []
    tuned = adapt_encoder(
        load_encoder(PACKAGED_ENCODER),
        log,
        texts,
        options,
        folder=tmp_path,
        after_step=lambda *told: steps.append(told),
    )
    assert [step for step, _ in steps] == list(range(1, 11))
    torch.testing.assert_close(open_weights(tuned)[0], kept[2])
    assert not torch.equal(kept[2], kept[5])


def test_the_loss_of_held_out_pairs_falls_and_leaves_no_gradient() -> None:
    texts = ["red kettle", "crimson kettle", "blue sofa", "navy sofa"]
    encoder = make_trainable(load_encoder(PACKAGED_ENCODER), "last_layers", 1)
    draw = PairDraw(Pairs(np.array([0, 2]), np.array([1, 3]), np.ones(2, np.float32)), 4)
    batch = PairBatch(encoder, TokenizedTexts(encoder, texts), draw, part=256)
    near, far = batch.loss((np.array([0, 2]), np.array([1, 3]))), batch.loss((np.array([0, 1]), np.array([2, 3])))
    assert near < far
    assert all(weight.grad is None for weight in open_weights(encoder))
