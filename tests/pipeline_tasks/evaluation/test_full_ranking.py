from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from pipeline_tasks import progress_log
from pipeline_tasks.data.interactions import DataExtent, Floats, Interactions
from pipeline_tasks.data.split_parts import FutureLeakError, split_parts
from pipeline_tasks.evaluation import full_ranking
from pipeline_tasks.evaluation.baselines import ItemLevel, popularity
from pipeline_tasks.evaluation.full_ranking import evaluate, evaluate_tasks
from pipeline_tasks.evaluation.ranking_task import GOALS, Goal, RankingTask, build_task, build_tasks
from pipeline_tasks.evaluation.ranks_from_scores import rank_of, top_items
from tests.pipeline_tasks.logs import log_of, random_log

ITEMS = 40


@dataclass(frozen=True)
class Noise:
    """A scorer with random scores by user key, with many ties."""

    name: str
    data_extent: DataExtent
    levels: int

    def scores(self, histories: Interactions) -> Floats:
        seeds = [int(key[1:]) for key in histories.keys]
        return np.stack([np.random.default_rng(s).integers(0, self.levels, ITEMS) for s in seeds]).astype(np.float32)


def task_of(seed: int, goal: Goal) -> RankingTask:
    parts = split_parts(random_log(600, ITEMS, seed), {"strategy": "per_user"})
    return build_task(parts, "test", goal, ITEMS)


@pytest.mark.parametrize("goal", ["discovery", "repeats"])
@pytest.mark.parametrize("levels", [4, 1_000_000])
def test_results_equal_a_naive_ranking(goal: Goal, levels: int) -> None:
    task = task_of(3, goal)
    scorer = Noise("noise", task.known.data_extent, levels)
    result = evaluate(scorer, task)
    scores = scorer.scores(task.histories)
    for user in range(0, len(task.histories), 7):
        masked = set(task.masked[user].indices.tolist())
        ranked = sorted(set(range(ITEMS)) - masked, key=lambda item: (-scores[user, item], item))
        relevant = set(task.relevant[user].indices.tolist())
        gains = [1 / np.log2(place + 2) for place, item in enumerate(ranked[:10]) if item in relevant]
        ideal = sum(1 / np.log2(place + 2) for place in range(min(10, len(relevant))))
        assert result.per_user["ndcg@10"][user] == pytest.approx(sum(gains) / ideal)
        assert result.per_user["recall@20"][user] == pytest.approx(len(relevant & set(ranked[:20])) / len(relevant))
        first = min(ranked.index(item) for item in relevant)
        assert result.per_user["mrr"][user] == pytest.approx(1 / (first + 1))


def test_a_scorer_fitted_on_the_future_is_refused() -> None:
    log = random_log(50, ITEMS, 1)
    parts = split_parts(log, {"strategy": "per_user"})
    task = build_task(parts, "test", "discovery", ITEMS)
    evaluate(popularity(parts.known_before("test"), ITEMS), task)
    with pytest.raises(FutureLeakError, match="popularity was fitted on"):
        evaluate(popularity(log, ITEMS), task)


def test_a_task_has_users_with_history_and_relevant_items() -> None:
    log = log_of(
        {
            "again": [(1, 0), (2, 0), (3, 0), (1, 0), (1, 0)],
            "new": [(1, 0), (2, 0), (3, 0), (1, 0), (4, 0)],
            "session:1": [(1, 0), (2, 0), (3, 0), (1, 0), (4, 0)],
        }
    )
    parts = split_parts(log, {"strategy": "per_user"})
    discovery = build_task(parts, "test", "discovery", 5)
    assert discovery.histories.keys == ["new"]
    assert discovery.relevant.indices.tolist() == [4]
    assert build_task(parts, "test", "repeats", 5).histories.keys == ["again", "new"]


def test_scores_that_are_not_finite_are_refused() -> None:
    task = task_of(5, "discovery")
    level = ItemLevel("broken", task.known.data_extent, np.full(ITEMS, np.nan, dtype=np.float32))
    with pytest.raises(ValueError, match="broken gave a score that is not finite"):
        evaluate(level, task)
    empty = replace(task, histories=task.histories.select(np.arange(0)))
    with pytest.raises(ValueError, match="no users to evaluate in discovery_test"):
        evaluate(level, empty)


@pytest.mark.parametrize("levels", [1, 2, 3, 50, 1_000_000])
@pytest.mark.parametrize("width", [7, 100])
def test_top_items_and_ranks_break_ties_by_the_lower_index(levels: int, width: int) -> None:
    rng = np.random.default_rng(levels)
    scores = rng.integers(0, levels, (30, width)).astype(np.float32)
    scores[0, 2:] = -np.inf
    expected = np.array([sorted(range(width), key=lambda item: (-row[item], item)) for row in scores])
    assert np.array_equal(top_items(scores, 9), expected[:, :9])
    rows, items = (part.ravel() for part in np.mgrid[0:30, 0:width])
    places = np.argsort(expected, axis=1) + 1
    assert np.array_equal(rank_of(scores, rows, items), places.ravel())


@pytest.mark.parametrize("levels", [1, 3, 1_000_000])
def test_counting_and_sorting_give_equal_ranks(levels: int) -> None:
    rng = np.random.default_rng(levels)
    scores = rng.integers(0, levels, (5, 8_000)).astype(np.float32)
    places = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1) + 1
    for chosen in (4, 400):
        rows, items = np.repeat(np.arange(5), chosen), np.tile(rng.choice(8_000, chosen, replace=False), 5)
        assert np.array_equal(rank_of(scores, rows, items), places[rows, items])


def test_a_long_evaluation_prints_progress(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress_log, "LINE_INTERVAL", -1.0)
    monkeypatch.setattr(full_ranking, "_MOST_ROWS", 40)
    parts = split_parts(random_log(100, 40, seed=6), {"strategy": "per_user"})
    task = build_task(parts, "test", "repeats", 40)
    evaluate(popularity(task.known, 40), task)
    assert f"popularity: 40 of {len(task)} users ranked" in capsys.readouterr().out


def test_joint_evaluation_equals_separate_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_of({f"u{n:04d}": [(n % 9, 1)] * (n % 3) + [(n % 7, 9)] for n in range(60)})
    parts = replace(split_parts(log, {"strategy": "per_user"}), validation_stops=log.lengths - 1)
    tasks = build_tasks(parts, "test", GOALS, ITEMS)
    assert [len(task) for task in tasks] == [36, 40, 20]
    monkeypatch.setattr(full_ranking, "_BLOCK_CELLS", ITEMS * 7)
    scorer = Noise("noise", tasks[0].known.data_extent, 5)
    for together, task in zip(evaluate_tasks(scorer, tasks), tasks, strict=True):
        alone = evaluate(scorer, task)
        assert together.task == alone.task == task.name
        assert together.overall == pytest.approx(alone.overall)
        for name, values in alone.per_user.items():
            np.testing.assert_array_equal(together.per_user[name], values)
    with pytest.raises(ValueError, match="repeats_test and discovery_test were built apart"):
        evaluate_tasks(scorer, [tasks[0], build_task(parts, "test", "repeats", ITEMS)])


def test_cold_items_and_newcomers_have_their_own_metrics() -> None:
    log = log_of({"a": [(0, 0), (1, 1), (5, 9)], "b": [(1, 0), (2, 1), (0, 9)], "new": [(0, 9), (6, 9)]})
    parts = split_parts(log, {"strategy": "temporal", "train_end": day(2), "validation_end": day(3)})
    discovery, newcomers = build_tasks(parts, "test", ("discovery", "newcomers"), 30)
    level = np.zeros(30, dtype=np.float32)
    level[5] = 1
    result = evaluate(ItemLevel("fifth", discovery.known.data_extent, level), discovery)
    np.testing.assert_array_equal(result.per_user["cold_recall@10"], [1, np.nan])
    assert result.overall["cold_recall@10"] == 1
    assert newcomers.histories.keys == ["new"]
    popular = evaluate(popularity(newcomers.known, 30), newcomers)
    assert popular.overall["recall@10"] == 1
    assert "popularity_lift@10" not in popular.overall


def day(number: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=number)
