import numpy as np
import pyarrow as pa
import pytest

from pipeline_tasks.recommend.offered_items import OfferedItems
from pipeline_tasks.recommend.reasons import explain

# tea and pot are alike, mug is not; rug is like nothing.
CONTENT = np.array([[1, 0, 0], [0.8, 0.6, 0], [0, 0, 1], [0, 0, -1]], np.float32)
TEA, POT, MUG, RUG = range(4)


@pytest.fixture
def shelf() -> OfferedItems:
    return OfferedItems(
        item_ids=pa.array(["tea", "pot", "mug", "rug"]),
        titles=["Green tea", "Clay pot", None, "Rug"],
        categories=["Home > Tea", "Home > Pots", "Home > Tea", None],
        brands=[None] * 4,
        ages=np.full(4, 99),
        vectors=CONTENT,
        content=CONTENT,
        visitors=CONTENT,
        embedded=np.arange(4),
        allowed=4,
        replenishable=frozenset(),
        opt_outs={},
        no_shelf=frozenset(),
    )


def reasons(shelf: OfferedItems, recommended: list[int], *history: tuple[int, str]) -> list[str]:
    places = np.array([place for place, _ in history], np.int64)
    return explain(shelf, np.array(recommended, np.int64), places, [deed for _, deed in history])


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("view", "because you looked at Green tea"),
        ("click", "because you looked at Green tea"),
        ("purchase", "because you bought Green tea"),
        ("cart", "because you put Green tea in your cart"),
        ("rating", "because you rated Green tea"),
    ],
)
def test_says_what_was_done_with_the_nearest_item(shelf: OfferedItems, deed: str, reason: str) -> None:
    assert reasons(shelf, [POT], (MUG, "purchase"), (TEA, deed)) == [reason]


def test_an_item_of_the_history_says_so(shelf: OfferedItems) -> None:
    assert reasons(shelf, [TEA], (TEA, "view")) == ["because you looked at it before"]
    assert reasons(shelf, [TEA], (TEA, "cart")) == ["because you put it in your cart before"]


def test_the_latest_of_equals_explains(shelf: OfferedItems) -> None:
    assert reasons(shelf, [POT], (TEA, "view"), (TEA, "purchase")) == ["because you bought Green tea"]


def test_category_explains_where_nothing_is_alike(shelf: OfferedItems) -> None:
    assert reasons(shelf, [MUG, RUG], (TEA, "view")) == ["more from Tea", "chosen for users like you"]


def test_untitled_items_and_items_off_the_shelf_explain_nothing(shelf: OfferedItems) -> None:
    assert reasons(shelf, [RUG], (-1, "purchase")) == ["chosen for users like you"]
    assert reasons(shelf, [TEA]) == ["chosen for users like you"]


def test_items_shown_for_being_new_say_so(shelf: OfferedItems) -> None:
    shown = np.array([MUG, RUG, POT], np.int64)
    history = np.array([TEA], np.int64)
    said = explain(shelf, shown, history, ["view"], np.array([True, True, False]))
    assert said == ["new in Tea", "new in the shop", "because you looked at Green tea"]
