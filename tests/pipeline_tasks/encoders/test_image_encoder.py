"""Against a tiny vision transformer with random weights, and pictures of one color."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import ViTConfig, ViTModel
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from pipeline_tasks.behavior.item_catalog import ItemCatalog
from pipeline_tasks.encoders.image_encoder import ImageError, image_block, load_image_encoder
from pipeline_tasks.encoders.text_encoder import EncoderError
from pipeline_tasks.model.item_content import fit_content
from pipeline_tasks.settings import TrainingSettings


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


def test_pictures_become_vectors_and_missing_ones_none(encoder: str, pictures: list[str]) -> None:
    red, blue, gray = pictures
    block = image_block(load_image_encoder(encoder), [red, None, f"file://{blue}", gray, red])
    assert block.shape == (5, 16)
    np.testing.assert_allclose(np.linalg.norm(block[[0, 2, 3]], axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(block[0], block[4])
    assert not np.allclose(block[0], block[2])
    assert np.isnan(block[1]).all()
    assert np.isnan(image_block(load_image_encoder(encoder), [None])).all()


def test_they_stand_beside_the_text_and_an_item_without_one_at_their_center(encoder: str, pictures: list[str]) -> None:
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
        with pytest.raises(ImageError, match=rf"picture {path} cannot be read .*mend the file"):
            image_block(load_image_encoder(encoder), [pictures[0], str(path)])
    with pytest.raises(ImageError, match=r"picture carrier-pigeon://x/y\.png cannot be read"):
        image_block(load_image_encoder(encoder), ["carrier-pigeon://x/y.png"])


def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(EncoderError, match="image encoder '/nowhere/vit' cannot be loaded"):
        load_image_encoder("/nowhere/vit")
