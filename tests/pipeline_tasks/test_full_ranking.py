from dataclasses import dataclass, replace

import numpy as np
import pytest

from pipeline_tasks.baselines import ItemLevel, popularity
from pipeline_tasks.full_ranking import evaluate, top_items
from pipeline_tasks.interactions import Evidence, Floats, Interactions
from pipeline_tasks.ranking_task import Goal, RankingTask, build_task
from pipeline_tasks.split_parts import FutureLeakError, split_parts
from tests.pipeline_tasks.logs import log_of, random_log

ITEMS = 40


@dataclass(frozen=True)
class Noise:
    """Scores that depend on the shopper's key only, with many ties."""

    name: str
    evidence: Evidence
    levels: int

    def scores(self, histories: Interactions) -> Floats:
        seeds = [int(key[1:]) for key in histories.keys]
        return np.stack([np.random.default_rng(s).integers(0, self.levels, ITEMS) for s in seeds]).astype(np.float32)


def task_of(seed: int, goal: Goal) -> RankingTask:
    parts = split_parts(random_log(600, ITEMS, seed), {"strategy": "per_user"})
    return build_task(parts, "test", goal, ITEMS)


@pytest.mark.parametrize("goal", ["discovery", "repeats"])
@pytest.mark.parametrize("levels", [4, 1_000_000])
def test_equals_a_naive_ranking(goal: Goal, levels: int) -> None:
    task = task_of(3, goal)
    scorer = Noise("noise", task.known.evidence, levels)
    result = evaluate(scorer, task)
    scores = scorer.scores(task.histories)
    for user in range(0, len(task.histories), 7):
        masked = set(task.masked[user].indices.tolist())
        ranked = sorted(set(range(ITEMS)) - masked, key=lambda item: (-scores[user, item], item))
        relevant = set(task.relevant[user].indices.tolist())
        gains = [1 / np.log2(place + 2) for place, item in enumerate(ranked[:10]) if item in relevant]
        ideal = sum(1 / np.log2(place + 2) for place in range(min(10, len(relevant))))
        assert result.per_shopper["ndcg@10"][user] == pytest.approx(sum(gains) / ideal)
        assert result.per_shopper["recall@20"][user] == pytest.approx(len(relevant & set(ranked[:20])) / len(relevant))
        first = min(ranked.index(item) for item in relevant)
        assert result.per_shopper["mrr"][user] == pytest.approx(1 / (first + 1))


def test_a_peeking_model_is_refused() -> None:
    log = random_log(50, ITEMS, 1)
    parts = split_parts(log, {"strategy": "per_user"})
    task = build_task(parts, "test", "discovery", ITEMS)
    evaluate(popularity(parts.known_before("test"), ITEMS), task)
    with pytest.raises(FutureLeakError, match="popularity was fitted on"):
        evaluate(popularity(log, ITEMS), task)


def test_only_known_shoppers_with_history_and_something_new_are_asked() -> None:
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


def test_scores_that_are_no_numbers_are_refused() -> None:
    task = task_of(5, "discovery")
    level = ItemLevel("broken", task.known.evidence, np.full(ITEMS, np.nan, dtype=np.float32))
    with pytest.raises(ValueError, match="broken gave a score that is not finite"):
        evaluate(level, task)
    empty = replace(task, histories=task.histories.select(np.arange(0)))
    with pytest.raises(ValueError, match="nobody to evaluate in discovery_test"):
        evaluate(level, empty)


def test_top_items_breaks_ties_by_the_lower_index() -> None:
    scores = np.array([[1, 3, 3, 2] + [0] * 20], dtype=np.float32)
    assert top_items(scores, 3).tolist() == [[1, 2, 3]]
    assert top_items(scores[:, :4], 9).tolist() == [[1, 2, 3, 0]]
