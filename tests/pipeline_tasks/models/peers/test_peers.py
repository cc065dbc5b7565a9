"""Every peer beats chance on a shop with something to learn, repeats itself by seed, and scores by the history."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from pipeline_tasks.data.interactions import DataExtent, Floats, Interactions
from pipeline_tasks.data.split_parts import FutureLeakError, split_parts
from pipeline_tasks.evaluation.full_ranking import evaluate
from pipeline_tasks.evaluation.leak_probes import refuse_lookup
from pipeline_tasks.evaluation.ranking_task import Scorer, build_task
from pipeline_tasks.models.peers.peers import PEERS, SEEDED_PEERS, fit_peer
from tests.benchmarks.online_retail import read_online_retail
from tests.pipeline_tasks.logs import log_of, random_log

pytestmark = pytest.mark.training

ITEMS = 80
TASK = build_task(split_parts(random_log(300, ITEMS, seed=4), {"strategy": "per_user"}), "test", "discovery", ITEMS)
ELSEWHERE = {"sasrec", "spark_als"}
"""They have a test file of their own, at sizes that suit them."""
CHANCE = {"popularity", "recent_popularity", "own_repeats"}
"""In this shop all items have the same demand, and no user buys one again."""


@dataclass(frozen=True)
class Chance:
    name: str
    data_extent: DataExtent

    def scores(self, histories: Interactions) -> Floats:
        return np.random.default_rng(len(histories)).random((len(histories), ITEMS)).astype(np.float32)


def beats_chance(peer: Scorer) -> bool:
    chance = evaluate(Chance("chance", TASK.known.data_extent), TASK).overall["ndcg@10"]
    return evaluate(peer, TASK).overall["ndcg@10"] > 1.5 * chance


@pytest.mark.parametrize("name", sorted(set(PEERS) - ELSEWHERE))
def test_a_peer_beats_chance_and_repeats_itself(name: str) -> None:
    peer, again = (fit_peer(name, TASK.known, ITEMS) for _ in range(2))
    assert peer.name == name
    assert name in CHANCE or beats_chance(peer)
    np.testing.assert_array_equal(again.scores(TASK.histories), peer.scores(TASK.histories))
    assert np.isfinite(peer.scores(log_of({"new": []}))).all()
    if name == "implicit_bpr":
        with pytest.raises(FutureLeakError, match="implicit_bpr scores 64 of 64 histories otherwise"):
            refuse_lookup(peer, TASK)
    else:
        refuse_lookup(peer, TASK)


@pytest.mark.parametrize("name", sorted(set(SEEDED_PEERS) - ELSEWHERE))
def test_a_drawn_peer_differs_by_seed(name: str) -> None:
    first, second = (fit_peer(name, TASK.known, ITEMS, seed) for seed in (1, 2))
    assert np.abs(first.scores(TASK.histories) - second.scores(TASK.histories)).max() > 0


def test_every_name_is_that_of_a_function() -> None:
    for name in PEERS:
        module, _, function = PEERS[name].partition(":")
        assert callable(getattr(import_module(f"pipeline_tasks.{module}"), function)), name


def test_an_unknown_peer_is_named() -> None:
    with pytest.raises(ValueError, match="'magic' is not a peer: choose from popularity, "):
        fit_peer("magic", TASK.known, ITEMS)


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "published"), [("popularity", 0.0376), ("item_knn_all", 0.0718)])
def test_figures_of_online_retail(shared_data: Path, name: str, published: float) -> None:
    data = read_online_retail(shared_data)
    task = build_task(data.parts, "test", "discovery", len(data.catalog))
    assert len(task) == 1_438
    reached = evaluate(fit_peer(name, task.known, len(data.catalog)), task).overall["ndcg@10"]
    assert reached == pytest.approx(published, abs=2e-4)
