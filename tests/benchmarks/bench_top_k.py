"""Exact top-100 of users x items with seen items masked, beside faiss, implicit, the bare product and Spark ALS.

pytest -s tests/benchmarks/bench_top_k.py
NIGHTSHELF_BENCH_USERS=20000 NIGHTSHELF_BENCH_ITEMS=50000 pytest -s tests/benchmarks/bench_top_k.py

Ours takes all users; peers take a share of them, because their cost is a line in the number of users and five rounds
would last half an hour. Rates are pairs per second of what each of them did.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import faiss
import numpy as np
import torch
from implicit.cpu.topk import topk as implicit_top_k
from pyspark.ml.recommendation import ALS
from pyspark.sql import SparkSession
from scipy.sparse import csr_matrix

from pipeline_tasks.topk.arrays import Exclusions, Vectors
from pipeline_tasks.topk.top_k import top_k
from tests.benchmarks.side_by_side import seconds_in_turn, write_results

K: Final = 100
WIDTH: Final = 128
SEEN: Final = 20
USERS: Final = int(os.environ.get("NIGHTSHELF_BENCH_USERS", "100000"))
ITEMS: Final = int(os.environ.get("NIGHTSHELF_BENCH_ITEMS", "100000"))
SHARE: Final = float(os.environ.get("NIGHTSHELF_BENCH_SHARE", "0.4"))
"""Of the users, for peers."""
RUNS: Final = 5
ALS_USERS: Final = 2_000
ALS_ITEMS: Final = 10_000


def test_top_k(spark: SparkSession) -> None:
    rng = np.random.default_rng(1)
    users, items = rng.standard_normal((USERS, WIDTH), np.float32), rng.standard_normal((ITEMS, WIDTH), np.float32)
    seen = Exclusions(np.arange(USERS + 1) * SEEN, rng.integers(0, ITEMS, USERS * SEEN))
    ours = top_k(users[:512], items, K, seen)
    assert _faiss_sets(users[:512], items, seen) == [set(row) for row in ours.items.reshape(512, K).tolist()]
    asked = int(USERS * SHARE)
    some, seen_by_some = users[:asked], Exclusions(seen.starts[: asked + 1], seen.items)
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: top_k(users, items, K, seen),
        "faiss IndexFlatIP": lambda: _faiss(some, items),
        "implicit topk": lambda: _implicit(some, items, seen_by_some),
        "float32 product alone": lambda: _product(some, items),
    }
    taken = seconds_in_turn(contenders, RUNS)
    rates = {name: (USERS if name == "ours" else asked) * ITEMS / seconds / 1e6 for name, seconds in taken.items()}
    rates["Spark ALS recommendForAllUsers"] = _als_rate(spark)
    peers = dict.fromkeys(contenders, f"{asked:,} users x {ITEMS:,} items")
    peers["Spark ALS recommendForAllUsers"] = f"{ALS_USERS:,} users x {ALS_ITEMS:,} items"
    write_results("top_k", [_row(rates, peer, peers[peer]) for peer in rates if peer != "ours"])
    assert rates["ours"] > 1.5 * max(rates["faiss IndexFlatIP"], rates["implicit topk"])
    assert rates["ours"] > 100 * rates["Spark ALS recommendForAllUsers"]
    assert rates["ours"] > rates["float32 product alone"]


def _row(rates: dict[str, float], peer: str, peer_size: str) -> dict[str, Any]:
    return {
        "name": "exact top-k",
        "size": f"{USERS:,} users x {ITEMS:,} items, d = {WIDTH}, k = {K}, {SEEN} seen items masked",
        "ours": round(rates["ours"], 1),
        "peer": peer,
        "peer_size": peer_size,
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
    """The product as this machine does it fastest: tiles that stay in the cache, written to the same place, a thread
    for each core (2 x 359 million pairs a second; 1,024 users x all items in new memory at a time: less than half)."""
    ours, theirs = torch.from_numpy(users), torch.from_numpy(items)

    def block(first: int) -> None:
        some = ours[first : first + 512]
        scores = torch.empty(len(some) * 2_048)
        for start in range(0, len(theirs), 2_048):
            tile = theirs[start : start + 2_048]
            torch.mm(some, tile.T, out=scores[: len(some) * len(tile)].view(len(some), len(tile)))

    with ThreadPoolExecutor(torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,)) as threads:
        list(threads.map(block, range(0, len(users), 512)))


def _als_rate(spark: SparkSession, users: int = ALS_USERS, items: int = ALS_ITEMS) -> float:
    """Return million pairs per second. Smaller sets: at its rate the whole table would take hours."""
    rng = np.random.default_rng(2)
    # Every user and item once, so that the factors cover all of them.
    pairs = [(row % users, row % items, 1.0) for row in rng.permutation(max(users, items)).tolist()]
    model = ALS(
        rank=WIDTH, maxIter=1, implicitPrefs=True, seed=1, userCol="user", itemCol="item", ratingCol="rating"
    ).fit(spark.createDataFrame(pairs, "user int, item int, rating float"))
    work = {"als": lambda: model.recommendForAllUsers(K).write.format("noop").mode("overwrite").save()}
    return users * items / seconds_in_turn(work, RUNS)["als"] / 1e6
