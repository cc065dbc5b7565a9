import numpy as np
import pytest

from pipeline_tasks.models.two_tower import item_content
from pipeline_tasks.models.two_tower.item_content import ItemVocabulary, fit_vocabulary

ITEMS = [("shop", "red", "id=1"), ("shop", "red", "tall"), ("shop", "tall", "id=3"), ("shop",)]


def test_only_values_that_distinguish_items_and_are_shared_are_kept() -> None:
    vocabulary = fit_vocabulary(ITEMS)
    assert vocabulary.values == ["red", "tall"]
    np.testing.assert_array_equal(vocabulary.numbers(ITEMS), [[1, 0], [1, 2], [2, 0], [0, 0]])


def test_values_missing_at_fitting_are_left_out() -> None:
    vocabulary = ItemVocabulary(["red", "tall"])
    np.testing.assert_array_equal(vocabulary.numbers([("blue",), ("blue", "tall")]), [[0], [2]])
    assert vocabulary.numbers([("blue",)]).shape == (1, 0)


def test_items_without_values_and_one_item_alone_have_no_vocabulary() -> None:
    for items in ([(), ()], [("red",)], []):
        assert fit_vocabulary(items).values == []
        assert ItemVocabulary([]).numbers(items).shape == (len(items), 0)


def test_of_a_large_catalog_the_commonest_values_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_content, "MAX_VALUES", 1)
    assert fit_vocabulary([("a", "b"), ("a", "b"), ("b",), ()]).values == ["b"]
