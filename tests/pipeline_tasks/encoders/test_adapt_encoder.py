from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.encoders.adapt_encoder import (
    GREATEST_NORM,
    AdaptOptions,
    QueriedItems,
    adapt_encoder,
    open_weights,
)
from pipeline_tasks.encoders.pair_batch import PairBatch
from pipeline_tasks.encoders.pretrained_weights import EncoderError
from pipeline_tasks.encoders.text_encoder import PACKAGED_ENCODER, load_encoder
from pipeline_tasks.encoders.trainable_encoder import Tuning, make_trainable, open_encoder
from tests.pipeline_tasks.logs import log_of

pytestmark = pytest.mark.training

Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize("tuning", get_args(Tuning))
def test_tuning_brings_pairs_nearer_and_can_be_loaded(tuning: Tuning, tmp_path: Path) -> None:
    texts = ["red kettle", "blue sofa", "green bicycle", "white candle"]
    log = log_of({f"u{n}": [(0, 1), (1, 2)] if n % 2 else [(2, 1), (3, 2)] for n in range(6)})
    before = load_encoder(PACKAGED_ENCODER).encode(texts)
    options = AdaptOptions(tuning, steps=12, pairs=8, learning_rate=1e-3 if tuning == "lora" else 2e-4)
    adapted = adapt_encoder(load_encoder(PACKAGED_ENCODER), log, texts, options, folder=tmp_path)
    assert adapted.stopped is None
    after = adapted.encoder.encode(texts)

    def contrast(vectors: np.ndarray) -> float:
        return float(
            vectors[0] @ vectors[1] + vectors[2] @ vectors[3] - vectors[0] @ vectors[2] - vectors[1] @ vectors[3]
        )

    assert contrast(after) > contrast(before) + 0.1
    again = open_encoder(PACKAGED_ENCODER, tmp_path, "cpu")
    assert not any("lora" in name for name, _ in again.model.named_parameters())
    np.testing.assert_allclose(again.encode(texts), after, atol=1e-5)
    assert torch.isfinite(torch.from_numpy(after)).all()


def test_only_the_named_weights_are_trained() -> None:
    encoder = make_trainable(load_encoder(PACKAGED_ENCODER), "last_layers", 2)
    opened = {name.split(".")[2] for name, weight in encoder.model.named_parameters() if weight.requires_grad}
    assert opened == {"4", "5"}
    with pytest.raises(EncoderError, match="has 6 blocks, 9 are to be tuned"):
        make_trainable(encoder, "last_layers", 9)
    with pytest.raises(EncoderError, match="'some' is unknown: use lora, last_layers, full"):
        make_trainable(encoder, "some")  # type: ignore[arg-type]


def test_queries_come_nearer_to_items_wanted_after_them(tmp_path: Path) -> None:
    texts = ["red kettle", "blue sofa", "green bicycle", "white candle"]
    log = log_of({f"u{n}": [(0, 1), (1, 2)] if n % 2 else [(2, 1), (3, 2)] for n in range(6)})
    asked = QueriedItems(["zorp", "Zorp ", "", "quux"] * 3, np.array([0, 0, 1, 2] * 3))
    words = ["zorp", "quux"]
    encoder = load_encoder(PACKAGED_ENCODER)
    before = encoder.encode(words) @ encoder.encode(texts).T
    options = AdaptOptions("lora", steps=12, pairs=8, learning_rate=1e-3, query_share=0.5)
    tuned = adapt_encoder(encoder, log, texts, options, folder=tmp_path, queried=asked).encoder
    after = tuned.encode(words) @ tuned.encode(texts).T
    assert after[0, 0] - after[0, 2] > before[0, 0] - before[0, 2] + 0.1
    assert after[1, 2] - after[1, 0] > before[1, 2] - before[1, 0] + 0.1


THINGS = [f"{thing} number {number}" for thing in ("sofa", "bicycle", "candle") for number in range(8)]
SIXTEEN = AdaptOptions("last_layers", layers=1, steps=16, pairs=8, learning_rate=1e-3)


def things_log(users: int, days: int) -> Interactions:
    """Return users who keep to one kind of `THINGS`."""
    return log_of({f"u{n}": [(n % 3 * 8 + (n + day * 3) % 8, day) for day in range(days)] for n in range(users)})


def test_the_best_weights_on_held_out_pairs_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The losses are scripted: the second of 8 is the best, and the training ends three measurements later."""
    losses, kept = iter([3.0, 2.0, 1.0, 1.5, 1.4, 1.3, 0.5]), []

    def loss(self: PairBatch, pairs: object) -> float:
        kept.append(open_weights(self.encoder)[0].detach().clone())
        return next(losses)

    monkeypatch.setattr(PairBatch, "loss", loss)
    steps: list[tuple[int, float]] = []
    encoder, log = load_encoder(PACKAGED_ENCODER), things_log(60, 3)
    stopped = adapt_encoder(encoder, log, THINGS, SIXTEEN, folder=tmp_path, after_step=lambda *one: steps.append(one))
    tuned = stopped.encoder
    assert [step for step, _ in steps] == list(range(1, 11))
    torch.testing.assert_close(open_weights(tuned)[0], kept[2])
    assert not torch.equal(kept[2], kept[5])


@pytest.mark.parametrize("broken", ["loss", "gradient"])
@pytest.mark.parametrize(("judged", "kept"), [(True, 4), (False, 0)])
def test_a_loss_that_is_not_finite_keeps_the_best_weights(
    *, broken: str, judged: bool, kept: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured
) -> None:
    """Step 6 of 16 is made to break. The held-out pairs, where there are any, are best after step 4."""
    log = things_log(60, 3) if judged else things_log(3, 2)
    weights: list[torch.Tensor] = []
    backward, losses = PairBatch.backward, iter([3.0, 2.0, 1.0, 1.5])

    def breaks(self: PairBatch, pairs: tuple[np.ndarray, np.ndarray]) -> float:
        weights.append(open_weights(self.encoder)[0].detach().clone())
        loss = backward(self, pairs)
        if len(weights) < 6:
            return loss
        next(weight.grad for weight in open_weights(self.encoder) if weight.grad is not None)[0] = torch.inf
        return float("nan") if broken == "loss" else loss

    monkeypatch.setattr(PairBatch, "backward", breaks)
    monkeypatch.setattr(PairBatch, "loss", lambda self, pairs: next(losses))
    steps: list[tuple[int, float]] = []
    encoder = load_encoder(PACKAGED_ENCODER)
    adapted = adapt_encoder(encoder, log, THINGS, SIXTEEN, folder=tmp_path, after_step=lambda *one: steps.append(one))
    assert [step for step, _ in steps] == [1, 2, 3, 4, 5], "a loss that is no number is not reported"
    assert adapted.stopped is not None
    assert "in step 6 of 16: lower its learning rate (0.001)" in adapted.stopped
    assert f"{adapted.stopped}; the encoder continues with the weights of step {kept}" in capsys.readouterr().out
    torch.testing.assert_close(open_weights(adapted.encoder)[0], weights[kept])
    assert np.isfinite(adapted.encoder.encode(THINGS)).all()


def test_a_long_gradient_is_clipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    texts = ["red kettle", "blue sofa", "green bicycle", "white candle"]
    log = log_of({f"u{n}": [(0, 1), (1, 2)] if n % 2 else [(2, 1), (3, 2)] for n in range(6)})
    backward, taken = PairBatch.backward, []

    def steep(self: PairBatch, pairs: tuple[np.ndarray, np.ndarray]) -> float:
        loss = backward(self, pairs)
        for weight in open_weights(self.encoder):
            weight.grad = torch.full_like(weight, 1e4)
        return loss

    def step(self: torch.optim.AdamW) -> None:
        taken.append(float(torch.nn.utils.get_total_norm([one.grad for one in self.param_groups[0]["params"]])))

    monkeypatch.setattr(PairBatch, "backward", steep)
    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    adapt_encoder(load_encoder(PACKAGED_ENCODER), log, texts, AdaptOptions(steps=2, pairs=8), folder=tmp_path)
    assert taken == pytest.approx([GREATEST_NORM] * 2, rel=1e-3)
