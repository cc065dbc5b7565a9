"""Tests with a tiny vision transformer of random weights, and pictures of one color."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import ViTConfig, ViTModel
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from pipeline_tasks.config.training_settings import TrainingSettings
from pipeline_tasks.data.item_catalog import ItemCatalog
from pipeline_tasks.encoders.image_encoder import ImageError, image_block, load_image_encoder
from pipeline_tasks.encoders.pretrained_weights import EncoderError
from pipeline_tasks.models.two_tower.item_content import fit_content


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("vit")
    torch.manual_seed(3)
    shape = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=16, patch_size=8
    )
    ViTModel(shape).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{color}.png" for color in ("red", "blue", "gray")]
    for path in paths:
        Image.new("L" if path.stem == "gray" else "RGBA", (20, 9), path.stem).save(path)
    return [str(path) for path in paths]


def changed(encoder: str, folder: Path, weights: dict[str, torch.Tensor]) -> str:
    for file in Path(encoder).glob("*.json"):
        (folder / file.name).write_bytes(file.read_bytes())
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return str(folder)


def test_pictures_become_vectors_and_a_missing_one_nan(encoder: str, pictures: list[str]) -> None:
    red, blue, gray = pictures
    block = image_block(load_image_encoder(encoder), [red, None, f"file://{blue}", gray, red])
    assert block.shape == (5, 16)
    np.testing.assert_allclose(np.linalg.norm(block[[0, 2, 3]], axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(block[0], block[4])
    assert not np.allclose(block[0], block[2])
    assert np.isnan(block[1]).all()
    assert np.isnan(image_block(load_image_encoder(encoder), [None])).all()


def test_image_vectors_follow_text_vectors_and_missing_ones_are_centered(encoder: str, pictures: list[str]) -> None:
    catalog = ItemCatalog(["a", "b", "c"], ["x", "y", "z"], [()] * 3, [pictures[0], pictures[1], None])
    texts = np.eye(3, 4, dtype=np.float32)
    content = fit_content(catalog, np.array([0, 1]), texts, TrainingSettings(image_encoder=encoder), "cpu")
    assert content.widths == (4, 16)
    np.testing.assert_allclose(content.raw[2, 4:], content.raw[:2, 4:].mean(axis=0), atol=1e-6)
    assert fit_content(catalog, np.array([0, 1]), texts, TrainingSettings(), "cpu").widths == (4,)


def test_broken_and_missing_pictures_are_named(encoder: str, pictures: list[str], tmp_path: Path) -> None:
    cut = tmp_path / "cut.png"
    cut.write_bytes(Path(pictures[0]).read_bytes()[:40])
    (tmp_path / "words.png").write_text("no picture")
    for path in (cut, tmp_path / "words.png", tmp_path / "gone.png"):
        with pytest.raises(ImageError, match=rf"picture {path} cannot be read .*repair the file"):
            image_block(load_image_encoder(encoder), [pictures[0], str(path)])
    with pytest.raises(ImageError, match=r"picture carrier-pigeon://x/y\.png cannot be read"):
        image_block(load_image_encoder(encoder), ["carrier-pigeon://x/y.png"])


def test_a_model_without_a_pooler_gives_the_mean_over_positions(
    encoder: str, pictures: list[str], tmp_path: Path
) -> None:
    """Like a classifier: transformers would initialize a random pooler at every load."""
    weights = load_file(Path(encoder) / "model.safetensors")
    folder = changed(encoder, tmp_path, {name: one for name, one in weights.items() if "pooler" not in name})
    first, second = (image_block(load_image_encoder(folder), pictures) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, image_block(load_image_encoder(encoder), pictures))


def test_weights_that_are_broken_or_missing_are_refused(encoder: str, tmp_path: Path) -> None:
    weights = load_file(Path(encoder) / "model.safetensors")
    one = min(weights)
    with pytest.raises(EncoderError, match=rf"image encoder '{tmp_path}' lack 1 of its weights \({one}\)"):
        load_image_encoder(changed(encoder, tmp_path, {name: each for name, each in weights.items() if name != one}))
    broken = weights | {one: torch.full_like(weights[one], torch.nan)}
    with pytest.raises(EncoderError, match=rf"numbers in {one} of image encoder '{tmp_path}' are not finite"):
        load_image_encoder(changed(encoder, tmp_path, broken))
    (tmp_path / "model.safetensors").write_bytes(b"{")
    with pytest.raises(EncoderError, match=rf"image encoder '{tmp_path}' cannot be loaded"):
        load_image_encoder(str(tmp_path))


def test_a_vector_that_is_not_finite_is_refused(encoder: str, pictures: list[str]) -> None:
    loaded = load_image_encoder(encoder)
    next(loaded.model.parameters()).data.fill_(torch.nan)
    with pytest.raises(ImageError, match=rf"picture {sorted(pictures)[0]} has a vector that is not finite"):
        image_block(loaded, pictures)


def test_a_missing_model_is_named() -> None:
    with pytest.raises(EncoderError, match="image encoder '/nowhere/vit' cannot be loaded"):
        load_image_encoder("/nowhere/vit")
