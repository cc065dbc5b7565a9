import numpy as np
import pytest

from pipeline_tasks.data.ratings import BinaryLabels, Ratings, rating_bias


def rated(*values: float, times: list[int] | None = None) -> Ratings:
    many = len(values)
    zeros = np.zeros(many, np.int64)
    time_array = np.array(times if times is not None else range(many), np.int64)
    return Ratings(zeros, zeros, time_array, np.array(values, np.float32))


@pytest.mark.parametrize(
    ("values", "liked"),
    [
        # 55 of 100 ratings are 4 or more, as in MovieLens; 21 are 5.
        ([1.0] * 6 + [2.0] * 11 + [3.0] * 28 + [4.0] * 34 + [5.0] * 21, 4.0),
        ([1.0] * 10 + [3.0] * 10 + [4.0] * 20 + [5.0] * 60, 5.0),
        ([0.0, 0.0, 0.0, 1.0], 1.0),
        ([-9.0, -3.5, 2.25, 8.0], 2.25),
        # At the lowest value no item would be disliked, however rare the other values are.
        ([5.0] * 99 + [5.5], 5.5),
        ([4.0, 4.0], 4.0),
    ],
)
def test_threshold_gives_the_most_balanced_labels(values: list[float], liked: float) -> None:
    assert rated(*values).choose_liked_threshold(len(values)) == liked


def test_later_ratings_do_not_change_the_threshold() -> None:
    ratings = rated(1.0, 2.0, 5.0, 5.0, 5.0, 5.0, times=[0, 1, 2, 2, 2, 2])
    assert ratings.choose_liked_threshold(1) == 2.0
    assert ratings.choose_liked_threshold(2) == 5.0
    assert ratings.choose_liked_threshold(-1) is None
    assert Ratings.none().choose_liked_threshold(9) is None


def test_an_item_is_liked_from_the_threshold_on() -> None:
    ratings = rated(3.5, 4.0, 4.5, times=[5, 6, 7])
    labels = ratings.binary_labels(4.0)
    assert labels.liked.tolist() == [False, True, True]
    assert labels.until(6).times.tolist() == [5, 6]
    # A value that float32 cannot represent exactly still counts as reached.
    assert rated(4.7).binary_labels(4.7).liked.all()


def test_rating_bias_counts_earlier_labels_and_none_of_the_same_time() -> None:
    rows = [(0, 7, 10, True), (0, 8, 20, True), (1, 7, 20, False), (1, 8, 20, False), (1, 9, 30, False)]
    labels = BinaryLabels(*(np.array(column) for column in zip(*rows, strict=True)))

    def bias(row: int, item: int, time: int) -> list[float]:
        example = (np.array([value]) for value in (row, item, time))
        (found,) = rating_bias(labels, *example)
        return [round(float(value), 4) for value in found]

    def log_odds(positives: int, count: int, global_rate: float) -> float:
        rate = (positives + 5 * global_rate) / (count + 5)
        return round(float(np.log(rate / (1 - rate)) - np.log(global_rate / (1 - global_rate))), 4)

    assert bias(0, 7, 10) == [0, 0], "nothing is known yet"
    assert bias(0, 7, 20) == [log_odds(1, 1, 2 / 3)] * 2
    assert bias(1, 7, 20) == [0, log_odds(1, 1, 2 / 3)]
    assert bias(1, 7, 21) == [log_odds(0, 2, 3 / 6), log_odds(1, 2, 3 / 6)]
    assert bias(5, 5, 99) == [0, 0], "a new user and a new item have the global rate"
    assert not rating_bias(labels.until(0), *[np.zeros(2, np.int64)] * 3).any()
