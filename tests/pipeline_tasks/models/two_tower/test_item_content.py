import numpy as np
import pytest

from pipeline_tasks.data.interactions import Floats
from pipeline_tasks.encoders.text_encoder import PACKAGED_ENCODER, load_encoder
from pipeline_tasks.encoders.whitening import fit_block_whitening
from pipeline_tasks.models.two_tower.item_content import join_blocks, recall_block, text_block


def test_items_without_text_have_no_vector_of_the_empty_text() -> None:
    block = text_block(load_encoder(PACKAGED_ENCODER), ["rose", "", "مصباح مكتب 🪴", "word " * 500])
    np.testing.assert_array_equal(np.isnan(block).all(axis=1), [False, True, False, False])
    assert np.isnan(text_block(load_encoder(PACKAGED_ENCODER), ["", ""])).all()


def test_only_new_texts_are_encoded() -> None:
    encoded: list[str] = []

    def encode(new: list[str]) -> Floats:
        encoded.extend(new)
        return np.full((len(new), 2), 9, dtype=np.float32)

    known = np.array([[1, 1], [2, 2], [3, 3]], dtype=np.float32)
    block = recall_block(["b", "", "new", "a", None, "new"], ["a", "b", ""], known, encode)
    assert encoded == ["new"]
    np.testing.assert_array_equal(block[:, 0], [2, np.nan, 9, 1, np.nan, 9])
    recall_block(["a"], ["a", "b", ""], known, lambda new: pytest.fail("nothing is new"))


def test_each_block_is_whitened_apart_and_missing_vectors_become_zero() -> None:
    rng = np.random.default_rng(1)
    texts, pictures = rng.standard_normal((200, 6)), 50 * rng.standard_normal((200, 3)) + 7
    vectors = np.concatenate([texts, pictures], axis=1).astype(np.float32)
    center, turn = fit_block_whitening(vectors, (6, 3), 4)
    assert turn.shape == (9, 7)
    assert not turn[:6, 4:].any()
    assert not turn[6:, :4].any()
    np.testing.assert_allclose(((vectors - center) @ turn).std(axis=0), 1, atol=1e-3)
    missing = join_blocks([np.full((1, 6), np.nan, np.float32), vectors[:1, 6:]], center)
    np.testing.assert_allclose(((missing - center) @ turn)[0, :4], 0, atol=1e-6)


def test_texts_that_are_all_equal_leave_one_axis_of_zeros() -> None:
    vectors = np.ones((5, 4), dtype=np.float32)
    center, turn = fit_block_whitening(vectors, (4,), 4)
    assert turn.shape == (4, 1)
    assert not ((vectors - center) @ turn).any()
