"""What lambda of MMR costs and gives, on the validation part of public logs: NDCG@10 beside diversity.

pytest -s tests/benchmarks/bench_mmr_lambda.py

A small model (width 64, one epoch) ranks; its 100 best are put in order for 20 slots, as `fill_recommendations` does
without slots for new items. Diversity is the mean cosine distance of the texts within the first ten. Test is not used.
"""

import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from pipeline_tasks.candidates.candidate_training import train
from pipeline_tasks.config.business_rules import RecommendationPlan
from pipeline_tasks.config.settings import settings
from pipeline_tasks.evaluation.metrics import intra_list_distance, ndcg
from pipeline_tasks.evaluation.ranking_task import RankingTask, build_task, sample_task
from pipeline_tasks.evaluation.ranks_from_scores import top_items
from pipeline_tasks.models.two_tower.saved_recommender import SavedRecommender
from pipeline_tasks.recommend.diversify import Candidates, ItemSimilarity, diversify
from pipeline_tasks.topk.arrays import Indices
from tests.benchmarks.quality_sets import SETS
from tests.benchmarks.side_by_side import write_results

LAMBDAS: Final = (1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.5)
LOGS: Final = ("completejourney", "online_retail")
SLOTS: Final = 20
SHOWN: Final = 10
USERS: Final = 2_000


@pytest.mark.real_data
def test_mmr_lambda(shared_data: Path, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    for name in LOGS:
        rows += _rows(name, shared_data, tmp_path / name)
        write_results("mmr_lambda", rows)


def _rows(name: str, shared_data: Path, work: Path) -> list[dict[str, Any]]:
    data = SETS[name].read(shared_data)
    training = settings().training.model_copy(update={"dimension": 64, "epochs": 1, "seed": 1})
    started = time.monotonic()
    saved = train(data, "frozen", training, work, lambda metrics, step: None).saved
    print(f"{name}: trained in {time.monotonic() - started:.0f} s", flush=True)
    task = sample_task(build_task(data.parts, "validation", "discovery", len(data.catalog)), USERS, 1)
    candidates, similarity = _candidates(saved, task), _likeness(saved)
    figures = [_figures(one, candidates, similarity, saved, task) for one in LAMBDAS]
    return [
        {
            "name": "MMR on validation",
            "size": f"{name}, {len(task)} users, lambda {one}",
            "ours": accuracy,
            "peer": "lambda 1",
            "peer_figure": figures[0][0],
            "ratio": round(accuracy / figures[0][0], 4),
            "unit": f"NDCG@{SHOWN}",
            "intra_list_distance": distance,
        }
        for one, (accuracy, distance) in zip(LAMBDAS, figures, strict=True)
    ]


def _candidates(saved: SavedRecommender, task: RankingTask) -> Candidates:
    scores = saved.recommender.scores(task.histories)
    scores[task.masked.nonzero()] = -np.inf
    items = top_items(scores, SLOTS * RecommendationPlan().candidates_per_slot)
    return Candidates(items, np.take_along_axis(scores, items, axis=1).astype(np.float64))


def _likeness(saved: SavedRecommender) -> ItemSimilarity:
    """Return what `prepare_offered_items` keeps of the items; no caps are asked for here."""
    recommender = saved.recommender
    content = recommender.item_matrix()[:, : min(recommender.model.config.dimension, recommender.model.matching.width)]
    lengths = np.linalg.norm(content, axis=1, keepdims=True)
    nowhere = np.full(len(content), -1, np.int64)
    return ItemSimilarity((content / np.where(lengths > 0, lengths, 1)).astype(np.float32), nowhere, nowhere)


def _figures(
    mmr_lambda: float, candidates: Candidates, similarity: ItemSimilarity, saved: SavedRecommender, task: RankingTask
) -> tuple[float, float]:
    """Return NDCG@10 and the distance within the first ten."""
    taken: Indices = np.zeros((len(task), 0), np.int64)
    lists = diversify(candidates, similarity, RecommendationPlan(mmr_lambda=mmr_lambda), SLOTS, taken).items[:, :SHOWN]
    wanted = task.relevant.toarray() > 0
    hits = np.take_along_axis(wanted, lists, axis=1)
    accuracy = ndcg(hits, task.relevant.getnnz(axis=1), SHOWN).mean()
    distance = intra_list_distance(lists, np.nan_to_num(saved.raw_texts)).mean()
    return round(float(accuracy), 5), round(float(distance), 4)
