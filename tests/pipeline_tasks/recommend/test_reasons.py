import numpy as np
import pyarrow as pa
import pytest

from pipeline_tasks.recommend.offered_items import OfferedItems
from pipeline_tasks.recommend.reasons import explain

# tea and pot are similar, mug and rug are not.
CONTENT = np.array([[1, 0, 0], [0.8, 0.6, 0], [0, 0, 1], [0, 0, -1]], np.float32)
TEA, POT, MUG, RUG = range(4)


@pytest.fixture
def offered() -> OfferedItems:
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
        without_recommendations=frozenset(),
    )


def reasons(offered: OfferedItems, recommended: list[int], *history: tuple[int, str]) -> list[str]:
    places = np.array([place for place, _ in history], np.int64)
    return explain(offered, np.array(recommended, np.int64), places, [event_type for _, event_type in history])


@pytest.mark.parametrize(
    ("event_type", "reason"),
    [
        ("view", "because you looked at Green tea"),
        ("click", "because you looked at Green tea"),
        ("purchase", "because you bought Green tea"),
        ("cart", "because you put Green tea in your cart"),
        ("rating", "because you rated Green tea"),
    ],
)
def test_an_event_with_the_most_similar_item_explains(offered: OfferedItems, event_type: str, reason: str) -> None:
    assert reasons(offered, [POT], (MUG, "purchase"), (TEA, event_type)) == [reason]


def test_an_item_of_the_history_is_its_own_reason(offered: OfferedItems) -> None:
    assert reasons(offered, [TEA], (TEA, "view")) == ["because you looked at it before"]
    assert reasons(offered, [TEA], (TEA, "cart")) == ["because you put it in your cart before"]


def test_the_latest_of_equal_items_is_the_reason(offered: OfferedItems) -> None:
    assert reasons(offered, [POT], (TEA, "view"), (TEA, "purchase")) == ["because you bought Green tea"]


def test_the_category_is_the_reason_without_a_similar_item(offered: OfferedItems) -> None:
    assert reasons(offered, [MUG, RUG], (TEA, "view")) == ["more from Tea", "chosen for users like you"]


def test_items_without_a_title_and_items_not_offered_are_no_reason(offered: OfferedItems) -> None:
    assert reasons(offered, [RUG], (-1, "purchase")) == ["chosen for users like you"]
    assert reasons(offered, [TEA]) == ["chosen for users like you"]


def test_new_items_have_a_reason_of_their_own(offered: OfferedItems) -> None:
    shown = np.array([MUG, RUG, POT], np.int64)
    history = np.array([TEA], np.int64)
    found = explain(offered, shown, history, ["view"], np.array([True, True, False]))
    assert found == ["new in Tea", "new in the shop", "because you looked at Green tea"]
