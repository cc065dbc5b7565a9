from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from pipeline_tasks.adapt_encoder import AdaptOptions, PairBatch, PairDraw, adapt_encoder
from pipeline_tasks.cached_gradients import backward_through_parts
from pipeline_tasks.text_encoder import PACKAGED_ENCODER, EncoderError, TextEncoder, load_encoder
from pipeline_tasks.trainable_encoder import Tuning, make_trainable, open_encoder
from pipeline_tasks.training_error import TrainingError
from tests.pipeline_tasks.logs import log_of


def test_pairs_are_neighbors_of_the_log_given() -> None:
    log = log_of({"a": [(0, 1), (1, 2)], "b": [(2, 1), (3, 2)], "c": [(4, 1)]})
    left, right = PairDraw(log, 5).draw(300, np.random.default_rng(0))
    assert {frozenset(pair) for pair in zip(left.tolist(), right.tolist(), strict=True)} == {
        frozenset((0, 1)),
        frozenset((2, 3)),
    }
    assert set(left.tolist()) == {0, 1, 2, 3}
    with pytest.raises(TrainingError, match="no pairs to learn from"):
        PairDraw(log_of({"c": [(4, 1)]}), 5)


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
    found = []
    for part in (2, 4, 6):
        encoder.model.zero_grad()
        loss = backward_through_parts(encoder, texts, lambda vectors: (vectors @ vectors.T).square().sum(), part)
        weights = [weight for weight in encoder.model.parameters() if weight.requires_grad]
        found.append((loss, torch.cat([weight.grad.flatten() for weight in weights if weight.grad is not None])))
    assert found[0][0] == pytest.approx(found[2][0], rel=1e-5)
    for _, gradient in found[:2]:
        torch.testing.assert_close(gradient, found[2][1], rtol=1e-3, atol=1e-4)


def test_a_full_gpu_gets_smaller_parts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """No GPU can be filled here: the encoder itself says that it is, as long as it is given more than three texts."""
    texts = [f"thing {number}" for number in range(8)]
    encoder = make_trainable(load_encoder(PACKAGED_ENCODER), "last_layers", 1)
    whole = TextEncoder.tokenize

    def tokenize(self: TextEncoder, given: list[str]) -> dict[str, torch.Tensor]:
        if len(given) > 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return whole(self, given)

    monkeypatch.setattr(TextEncoder, "tokenize", tokenize)
    batch = PairBatch(encoder, texts, np.zeros(8, np.float32), AdaptOptions())
    loss = batch.backward((np.arange(4), np.arange(4, 8)))
    assert np.isfinite(loss)
    assert batch.part == 2
    assert "encoding 2 texts at a time" in capsys.readouterr().out
