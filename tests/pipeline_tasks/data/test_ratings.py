import numpy as np
import pytest

from pipeline_tasks.data.rating_bias import leanings
from pipeline_tasks.data.ratings import BinaryLabels, Ratings


def rated(*values: float, times: list[int] | None = None) -> Ratings:
    many = len(values)
    zeros = np.zeros(many, np.int64)
    moments = np.array(times if times is not None else range(many), np.int64)
    return Ratings(zeros, zeros, moments, np.array(values, np.float32))


@pytest.mark.parametrize(
    ("values", "liked"),
    [
        # 4 and more: 55 of 100, as in MovieLens; at 5 it would be 21.
        ([1.0] * 6 + [2.0] * 11 + [3.0] * 28 + [4.0] * 34 + [5.0] * 21, 4.0),
        ([1.0] * 10 + [3.0] * 10 + [4.0] * 20 + [5.0] * 60, 5.0),
        ([0.0, 0.0, 0.0, 1.0], 1.0),
        ([-9.0, -3.5, 2.25, 8.0], 2.25),
        # Nobody says no at the lowest value, however rare the rest is.
        ([5.0] * 99 + [5.5], 5.5),
        ([4.0, 4.0], 4.0),
    ],
)
def test_a_log_is_cut_where_neither_answer_is_rare(values: list[float], liked: float) -> None:
    assert rated(*values).choose_liked(len(values)) == liked


def test_what_comes_later_decides_nothing() -> None:
    ratings = rated(1.0, 2.0, 5.0, 5.0, 5.0, 5.0, times=[0, 1, 2, 2, 2, 2])
    assert ratings.choose_liked(1) == 2.0
    assert ratings.choose_liked(2) == 5.0
    assert ratings.choose_liked(-1) is None
    assert Ratings.none().choose_liked(9) is None


def test_an_item_is_liked_from_the_value_on() -> None:
    ratings = rated(3.5, 4.0, 4.5, times=[5, 6, 7])
    opinions = ratings.opinions(4.0)
    assert opinions.liked.tolist() == [False, True, True]
    assert opinions.until(6).times.tolist() == [5, 6]
    # A value that float32 does not hold exactly is still reached by itself.
    assert rated(4.7).opinions(4.7).liked.all()


def test_leanings_count_what_was_said_before_and_not_at_the_very_moment() -> None:
    said = [(0, 7, 10, True), (0, 8, 20, True), (1, 7, 20, False), (1, 8, 20, False), (1, 9, 30, False)]
    opinions = BinaryLabels(*(np.array(column) for column in zip(*said, strict=True)))

    def told(row: int, item: int, moment: int) -> list[float]:
        asked = (np.array([one]) for one in (row, item, moment))
        (found,) = leanings(opinions, *asked)
        return [round(float(one), 4) for one in found]

    def odds(yeses: int, answers: int, everybody: float) -> float:
        share = (yeses + 5 * everybody) / (answers + 5)
        return round(float(np.log(share / (1 - share)) - np.log(everybody / (1 - everybody))), 4)

    assert told(0, 7, 10) == [0, 0], "nothing is known yet"
    assert told(0, 7, 20) == [odds(1, 1, 2 / 3)] * 2
    assert told(1, 7, 20) == [0, odds(1, 1, 2 / 3)]
    assert told(1, 7, 21) == [odds(0, 2, 3 / 6), odds(1, 2, 3 / 6)]
    assert told(5, 5, 99) == [0, 0], "a stranger and a new item are as everybody"
    assert not leanings(opinions.until(0), *[np.zeros(2, np.int64)] * 3).any()
