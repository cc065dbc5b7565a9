import numpy as np
import pytest

from tests.benchmarks import shopper_values
from tests.benchmarks.measured_scorer import OURS, REFITTED, MeasuredScorer
from tests.benchmarks.quality_row import Row
from tests.benchmarks.quality_rows import rows_of
from tests.benchmarks.shopper_values import keep_values, mean_values, read_values

USERS = 200
RNG = np.random.default_rng(1)


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setattr(shopper_values, "_FOLDER", tmp_path_factory.mktemp("values"))


def fitted(scorer: str, seed: int, level: float, users: int = USERS) -> MeasuredScorer:
    values = np.clip(RNG.normal(level, 0.05, users), 0, 1)
    figures = {"ndcg@10": float(values.mean()), "recall@10": 0.1, "coverage@10": 0.2}
    figures |= {"low": 0.0, "high": 1.0, "users": users}
    one = MeasuredScorer("amazon_beauty", scorer, seed, {"discovery": figures}, 1.0, commit="abc", date="2026-11-27")
    keep_values(one.fit, one.commit, {"discovery": values})
    return one


def by_scorer(*runs: MeasuredScorer) -> dict[str, Row]:
    return {row.scorer: row for row in rows_of("amazon_beauty", runs)}


def test_values_come_back_only_for_the_commit_that_kept_them() -> None:
    keep_values("set-ours-1", "abc", {"discovery": np.array([0.0, 0.5])})
    kept = read_values("set-ours-1", "abc", "discovery")
    assert kept is not None
    assert kept.tolist() == [0.0, 0.5]
    assert read_values("set-ours-1", "def", "discovery") is None
    assert read_values("set-ours-1", "abc", "repeats") is None
    assert read_values("set-ours-2", "abc", "discovery") is None


def test_a_mean_over_seeds_needs_every_seed() -> None:
    mean = mean_values([np.array([0.0, 1.0]), np.array([1.0, 1.0])])
    assert mean is not None
    assert mean.tolist() == [0.5, 1.0]
    assert mean_values([np.array([0.0]), None]) is None
    assert mean_values([]) is None


def test_a_better_scorer_is_distinguished_from_an_equal_one() -> None:
    rows = by_scorer(fitted(OURS, 1, 0.4), fitted(OURS, 2, 0.4), fitted("ease", 1, 0.3), fitted("item_knn", 1, 0.4))
    assert rows["ease"].ours_minus == pytest.approx(0.1, abs=0.02)
    assert rows["ease"].p is not None
    assert rows["ease"].p < 0.001
    assert rows["item_knn"].p is not None
    assert rows["item_knn"].p > 0.01
    assert rows[OURS].p is None
    assert len(rows[OURS].by_seed) == 2


def test_a_peer_is_compared_with_the_row_that_learned_from_the_same_parts() -> None:
    rows = by_scorer(fitted(OURS, 1, 0.3), fitted(REFITTED, 1, 0.5), fitted("sasrec", 1, 0.4))
    assert rows["sasrec"].ours_minus == pytest.approx(0.1, abs=0.02)
    assert rows[REFITTED].ours_minus == pytest.approx(-0.2, abs=0.02)


def test_a_set_that_is_read_otherwise_is_refused() -> None:
    with pytest.raises(ValueError, match="two_tower was asked about 200 users, ease about 150: the set is read"):
        by_scorer(fitted(OURS, 1, 0.4), fitted("ease", 1, 0.3, users=150))
