import weakref

import numpy as np
import pytest
import torch

from pipeline_tasks.encoders.adapt_encoder import open_weights
from pipeline_tasks.encoders.encoder_pairs import PairDraw, Pairs
from pipeline_tasks.encoders.pair_batch import PairBatch, backward_through_parts
from pipeline_tasks.encoders.text_encoder import PACKAGED_ENCODER, TextEncoder, TokenizedTexts, load_encoder
from pipeline_tasks.encoders.trainable_encoder import make_trainable
from pipeline_tasks.errors import EXPECTED, TrainingError

PAIRS = np.arange(4), np.arange(4, 8)


def on_full_gpu(texts: int, monkeypatch: pytest.MonkeyPatch) -> PairBatch:
    """Return a batch of eight texts.

    No GPU can be filled here: the encoder itself raises the error when it gets more than so many texts. When it is
    asked again after that, nothing of the attempt that failed may be left.
    """
    whole = TextEncoder.vectors
    failed: list[weakref.ref[torch.Tensor]] = []
    made: list[weakref.ref[torch.Tensor]] = []

    def vectors(self: TextEncoder, given: dict[str, torch.Tensor]) -> torch.Tensor:
        assert all(one() is None for one in failed), "what filled the memory is held while the batch is begun again"
        tensor = whole(self, given)
        made.append(weakref.ref(tensor))
        if len(tensor) > texts:
            failed.extend(made)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return tensor

    monkeypatch.setattr(TextEncoder, "vectors", vectors)
    encoder = make_trainable(load_encoder(PACKAGED_ENCODER), "last_layers", 1)
    tokens = TokenizedTexts(encoder, [f"thing {number}" for number in range(8)])
    return PairBatch(encoder, tokens, PairDraw(Pairs(*PAIRS, np.ones(4, np.float32)), 8), part=256)


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


@pytest.mark.parametrize(("texts", "part"), [(3, 2), (1, 1)])
def test_a_full_gpu_gets_smaller_parts_and_frees_the_larger_ones(
    texts: int, part: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = on_full_gpu(texts, monkeypatch)
    assert np.isfinite(batch.backward(PAIRS))
    assert batch.part == part
    assert f"encoding {part} texts at a time" in capsys.readouterr().out


def test_measuring_on_a_full_gpu_gets_smaller_parts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = on_full_gpu(1, monkeypatch)
    batch.encoder.model.train()
    assert np.isfinite(batch.loss(PAIRS))
    assert batch.part == 1
    assert batch.encoder.model.training


def test_a_gpu_without_memory_for_one_text_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrainingError, match="with one text at a time: free the GPU, train on the CPU") as message:
        on_full_gpu(0, monkeypatch).backward(PAIRS)
    assert isinstance(message.value, EXPECTED)


def test_the_loss_of_held_out_pairs_falls_and_leaves_no_gradient() -> None:
    texts = ["red kettle", "crimson kettle", "blue sofa", "navy sofa"]
    encoder = make_trainable(load_encoder(PACKAGED_ENCODER), "last_layers", 1)
    draw = PairDraw(Pairs(np.array([0, 2]), np.array([1, 3]), np.ones(2, np.float32)), 4)
    batch = PairBatch(encoder, TokenizedTexts(encoder, texts), draw, part=256)
    near, far = batch.loss((np.array([0, 2]), np.array([1, 3]))), batch.loss((np.array([0, 1]), np.array([2, 3])))
    assert near < far
    assert all(weight.grad is None for weight in open_weights(encoder))
