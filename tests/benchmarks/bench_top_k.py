"""Exact top-100 of users x items with seen items masked, beside faiss, implicit, the bare product and Spark ALS.

pytest -s tests/benchmarks/bench_top_k.py
NIGHTSHELF_BENCH_USERS=20000 NIGHTSHELF_BENCH_ITEMS=50000 pytest -s tests/benchmarks/bench_top_k.py
"""

import os
from collections.abc import Callable
from typing import Any, Final

import faiss
import numpy as np
import torch
from implicit.cpu.topk import topk as implicit_top_k
from pyspark.ml.recommendation import ALS
from pyspark.sql import SparkSession
from scipy.sparse import csr_matrix

from pipeline_tasks.top_k import Exclusions, Vectors, top_k
from tests.benchmarks.side_by_side import seconds_in_turn, write_results

K: Final = 100
WIDTH: Final = 128
SEEN: Final = 20
USERS: Final = int(os.environ.get("NIGHTSHELF_BENCH_USERS", "100000"))
ITEMS: Final = int(os.environ.get("NIGHTSHELF_BENCH_ITEMS", "100000"))
RUNS: Final = 5


def test_top_k(spark: SparkSession) -> None:
    rng = np.random.default_rng(1)
    users, items = rng.standard_normal((USERS, WIDTH), np.float32), rng.standard_normal((ITEMS, WIDTH), np.float32)
    seen = Exclusions(np.arange(USERS + 1) * SEEN, rng.integers(0, ITEMS, USERS * SEEN))
    ours = top_k(users[:512], items, K, seen)
    assert _faiss_sets(users[:512], items, seen) == [set(row) for row in ours.items.reshape(512, K).tolist()]
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: top_k(users, items, K, seen),
        "faiss IndexFlatIP": lambda: _faiss(users, items),
        "implicit topk": lambda: _implicit(users, items, seen),
        "float32 product alone": lambda: _product(users, items),
    }
    taken = seconds_in_turn(contenders, RUNS)
    rates = {name: USERS * ITEMS / seconds / 1e6 for name, seconds in taken.items()}
    rates["Spark ALS recommendForAllUsers"] = _als_rate(spark)
    write_results("top_k", [_row(rates, peer) for peer in rates if peer != "ours"])
    assert taken["ours"] < taken["faiss IndexFlatIP"]


def _row(rates: dict[str, float], peer: str) -> dict[str, Any]:
    return {
        "name": "exact top-k",
        "size": f"{USERS:,} users x {ITEMS:,} items, d = {WIDTH}, k = {K}, {SEEN} seen items masked",
        "ours": round(rates["ours"], 1),
        "peer": peer,
        "peer_figure": round(rates[peer], 1),
        "ratio": round(rates["ours"] / rates[peer], 2),
        "unit": "million pairs per second",
        "runs": RUNS,
    }


def _faiss(users: Vectors, items: Vectors, k: int = K) -> Any:  # noqa: ANN401
    """faiss cannot mask per user in one search: it is timed without."""
    index = faiss.IndexFlatIP(WIDTH)
    index.add(items)
    return index.search(users, k)[1]


def _faiss_sets(users: Vectors, items: Vectors, seen: Exclusions) -> list[set[int]]:
    found = _faiss(users, items, K + SEEN)
    hidden = seen.items[: len(users) * SEEN].reshape(-1, SEEN)
    return [
        set([item for item in row if item not in banned][:K])
        for row, banned in zip(found.tolist(), map(set, hidden.tolist()), strict=True)
    ]


def _implicit(users: Vectors, items: Vectors, seen: Exclusions) -> object:
    found = []
    for first in range(0, len(users), 1_000):
        block = users[first : first + 1_000]
        rows, columns = seen.block(first, first + len(block))
        mask = csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(len(block), len(items)))
        found.append(implicit_top_k(items, block, K, filter_query_items=mask))
    return found


def _product(users: Vectors, items: Vectors) -> None:
    ours, theirs = torch.from_numpy(users), torch.from_numpy(items).T
    for first in range(0, len(users), 1_024):
        ours[first : first + 1_024] @ theirs


def _als_rate(spark: SparkSession, users: int = 4_000, items: int = 20_000) -> float:
    """Return million pairs per second. Smaller sets: at its rate the whole table would take hours."""
    rng = np.random.default_rng(2)
    # Every user and item once, so that the factors cover all of them.
    pairs = [(row % users, row % items, 1.0) for row in rng.permutation(max(users, items)).tolist()]
    model = ALS(
        rank=WIDTH, maxIter=1, implicitPrefs=True, seed=1, userCol="user", itemCol="item", ratingCol="rating"
    ).fit(spark.createDataFrame(pairs, "user int, item int, rating float"))
    work = {"als": lambda: model.recommendForAllUsers(K).write.format("noop").mode("overwrite").save()}
    return users * items / seconds_in_turn(work, RUNS)["als"] / 1e6
