"""Finds items for queries by words (BM25) and by meaning (the fine-tuned encoder), and fuses the two rankings."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline_tasks.data.item_catalog import describe_item
from pipeline_tasks.models.text_search import TextIndex, fuse
from pipeline_tasks.recommend.offered_items import OfferedItems
from pipeline_tasks.topk.arrays import Indices, Scores
from pipeline_tasks.topk.top_k import top_k

DEPTH: Final = 100
"""The number of best items of each ranking that are fused."""
REORDERED: Final = 50
"""The number of best items of each query that are reordered for a user. Others are too far from the query."""


@dataclass(frozen=True)
class Found:
    """The results of q queries."""

    queries: list[str]
    items: list[Indices]
    """For each query, at most `REORDERED` indices of offered items, best first."""
    scores: list[Scores]
    covered: list[list[bool]]
    """Whether each item contains every word of the query."""


def find_items(vectors: Path, offered: OfferedItems, catalog: pa.Table) -> Found:
    """Return the results of the day's top queries among the items that may be shown.

    Args:
        vectors: the folder that the task embed_shelf wrote, with the queries.
        offered: the items of the day.
        catalog: rows of the table `items` of the day.
    """
    queries = pq.read_table(vectors / "queries.parquet")["query"].to_pylist() if _has_queries(vectors) else []
    if not queries:
        return Found([], [], [], [])
    allowed = offered.item_ids.slice(0, offered.allowed)
    described = {row["item_id"]: describe_item(row) for row in catalog.to_pylist()}
    index = TextIndex([described[item_id] for item_id in allowed.to_pylist()])
    by_words = index.best(queries, DEPTH)
    by_meaning = _nearest(vectors, allowed)
    fused = [fuse([words, meaning], REORDERED) for (words, _), meaning in zip(by_words, by_meaning, strict=True)]
    covered = [[index.covers(query, item) for item in items] for query, (items, _) in zip(queries, fused, strict=True)]
    return Found(queries, [items for items, _ in fused], [scores for _, scores in fused], covered)


def search_reason(query: str, covered: bool, taste: bool) -> str:
    """Return the reason of a result in words that the user can read; `taste` is whether it was reordered for a user."""
    reason = f"matches “{query}”" if covered else f"close to “{query}”"
    return f"{reason} and what you like" if taste else reason


def suggest(queries: pa.Table, rows: int, longest: int) -> list[tuple[str, int, str, int]]:
    """Return (prefix, rank, query, searches) for every prefix of up to `longest` characters of the `queries`.

    `queries` has the columns query and searches. Each prefix has up to `rows` queries, the most frequent first.
    """
    by_prefix: dict[str, list[tuple[str, int]]] = {}
    pairs = zip(queries["query"].to_pylist(), queries["searches"].to_pylist(), strict=True)
    for query, searches in sorted(pairs, key=lambda pair: (-pair[1], pair[0])):
        for length in range(1, min(len(query), longest) + 1):
            prefix = query[:length]
            # A prefix that ends in a space has the same queries as the one before it.
            if not prefix.endswith(" ") and len(best := by_prefix.setdefault(prefix, [])) < rows:
                best.append((query, searches))
    return [
        (prefix, rank, query, searches)
        for prefix, best in sorted(by_prefix.items())
        for rank, (query, searches) in enumerate(best, start=1)
    ]


@lru_cache(maxsize=1)
def open_found(path: str) -> Found:
    """Read the file of `save_found`, once in each process."""
    table = pq.read_table(path)
    return Found(
        table["query"].to_pylist(),
        [np.array(items, np.int64) for items in table["items"].to_pylist()],
        [np.array(scores, np.float64) for scores in table["scores"].to_pylist()],
        table["covered"].to_pylist(),
    )


def save_found(found: Found, path: Path) -> None:
    """Write the results for the processes that reorder them for users."""
    columns = {
        "query": pa.array(found.queries, pa.string()),
        "items": pa.array(found.items, pa.list_(pa.int64())),
        "scores": pa.array(found.scores, pa.list_(pa.float64())),
        "covered": pa.array(found.covered, pa.list_(pa.bool_())),
    }
    pq.write_table(pa.table(columns), path)


def _has_queries(vectors: Path) -> bool:
    return (vectors / "queries.parquet").exists()


def _nearest(vectors: Path, allowed: pa.Array) -> list[Indices]:
    """Return for each query the `allowed` items with the most similar text, best first."""
    ids = pq.read_table(vectors / "item_ids.parquet")["item_id"].combine_chunks()
    places = pc.index_in(allowed, value_set=ids).to_numpy(zero_copy_only=False).astype(np.int64)
    texts = np.load(vectors / "item_texts.npy", mmap_mode="r")[places]
    best = top_k(np.load(vectors / "query_texts.npy"), texts, min(DEPTH, len(texts)))
    return [best.items[best.starts[row] : best.starts[row + 1]] for row in range(len(best.starts) - 1)]
