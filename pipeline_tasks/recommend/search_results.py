"""What queries find: words (BM25) and meaning (the fine-tuned encoder) fused, the best of it kept for reordering."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline_tasks.data.item_values import describe_item
from pipeline_tasks.models.search.bm25 import TextIndex
from pipeline_tasks.models.search.rank_fusion import fuse
from pipeline_tasks.recommend.offered_items import OfferedItems
from pipeline_tasks.topk.arrays import Indices, Scores
from pipeline_tasks.topk.top_k import top_k

DEPTH: Final = 100
"""Places of each ranking that are fused."""
REORDERED: Final = 50
"""Items per query that a user's own order chooses from: the rest is too far from the query for any taste."""


@dataclass(frozen=True)
class Found:
    """What q queries find."""

    queries: list[str]
    items: list[Indices]
    """Of each query, at most `REORDERED` indices on the shelf, best first."""
    scores: list[Scores]
    covered: list[list[bool]]
    """Whether each item has every word of the query."""


def find_items(vectors: Path, shelf: OfferedItems, catalog: pa.Table) -> Found:
    """Search the items that may be shown for the queries that embed_shelf wrote; `catalog` is the night's `items`."""
    queries = pq.read_table(vectors / "queries.parquet")["query"].to_pylist() if _searched(vectors) else []
    if not queries:
        return Found([], [], [], [])
    allowed = shelf.item_ids.slice(0, shelf.allowed)
    described = {row["item_id"]: describe_item(row) for row in catalog.to_pylist()}
    index = TextIndex([described[item_id] for item_id in allowed.to_pylist()])
    by_words = index.best(queries, DEPTH)
    by_meaning = _nearest(vectors, allowed)
    fused = [fuse([words, meaning], REORDERED) for (words, _), meaning in zip(by_words, by_meaning, strict=True)]
    covered = [[index.covers(query, item) for item in items] for query, (items, _) in zip(queries, fused, strict=True)]
    return Found(queries, [items for items, _ in fused], [scores for _, scores in fused], covered)


def say_why(query: str, covered: bool, taste: bool) -> str:
    """Return the reason of one result, in words that the user could read."""
    why = f"matches “{query}”" if covered else f"close to “{query}”"
    return f"{why} and what you like" if taste else why


def suggest(queries: pa.Table, rows: int, longest: int) -> list[tuple[str, int, str, int]]:
    """Return (prefix, rank, query, searches) of every prefix up to `longest` characters; (query, searches) come in."""
    by_prefix: dict[str, list[tuple[str, int]]] = {}
    asked = zip(queries["query"].to_pylist(), queries["searches"].to_pylist(), strict=True)
    for query, searches in sorted(asked, key=lambda pair: (-pair[1], pair[0])):
        for length in range(1, min(len(query), longest) + 1):
            prefix = query[:length]
            # A prefix that ends in a space says no more than the one before it.
            if not prefix.endswith(" ") and len(best := by_prefix.setdefault(prefix, [])) < rows:
                best.append((query, searches))
    return [
        (prefix, rank, query, searches)
        for prefix, best in sorted(by_prefix.items())
        for rank, (query, searches) in enumerate(best, start=1)
    ]


@lru_cache(maxsize=1)
def open_found(path: str) -> Found:
    """Read what `save_found` wrote, once per process."""
    table = pq.read_table(path)
    return Found(
        table["query"].to_pylist(),
        [np.array(items, np.int64) for items in table["items"].to_pylist()],
        [np.array(scores, np.float64) for scores in table["scores"].to_pylist()],
        table["covered"].to_pylist(),
    )


def save_found(found: Found, path: Path) -> None:
    """Write it for the processes that reorder it for users."""
    columns = {
        "query": pa.array(found.queries, pa.string()),
        "items": pa.array(found.items, pa.list_(pa.int64())),
        "scores": pa.array(found.scores, pa.list_(pa.float64())),
        "covered": pa.array(found.covered, pa.list_(pa.bool_())),
    }
    pq.write_table(pa.table(columns), path)


def _searched(vectors: Path) -> bool:
    return (vectors / "queries.parquet").exists()


def _nearest(vectors: Path, allowed: pa.Array) -> list[Indices]:
    """Return for each query the nearest of the `allowed` items by text."""
    ids = pq.read_table(vectors / "item_ids.parquet")["item_id"].combine_chunks()
    places = pc.index_in(allowed, value_set=ids).to_numpy(zero_copy_only=False).astype(np.int64)
    texts = np.load(vectors / "item_texts.npy", mmap_mode="r")[places]
    best = top_k(np.load(vectors / "query_texts.npy"), texts, min(DEPTH, len(texts)))
    return [best.items[best.starts[row] : best.starts[row + 1]] for row in range(len(best.starts) - 1)]
