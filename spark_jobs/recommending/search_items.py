"""Fills search_results and search_suggestions from the night's top queries."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.models.search.rank_fusion import fuse
from pipeline_tasks.recommend.offered_items import OfferedItems, open_offered_items
from pipeline_tasks.recommend.search_results import Found, open_found, say_why, suggest
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema, spark_ddl
from pipeline_tasks.topk.arrays import Indices, Scores, Vectors

SUGGESTED: Final = 8
LONGEST_PREFIX: Final = 20
_LIKED: Final = 5
"""Places of a user's own order within which a result is said to be to their taste."""


@dataclass(frozen=True)
class SearchOrder:
    """What to find."""

    shelf: str
    """Folder of `pipeline_tasks.recommend.offered_items`."""
    found: str
    """File of `pipeline_tasks.recommend.search_results.save_found`."""
    rows: int
    model_version: str
    ds: date


def everybodys_results(found: Found, shelf: OfferedItems, order: SearchOrder) -> pa.Table:
    """Return the rows of search_results with user_key NULL."""
    lists = [
        _Listed(query, None, items[: order.rows], scores[: order.rows], [say_why(query, c, False) for c in covered])
        for query, items, scores, covered in zip(found.queries, found.items, found.scores, found.covered, strict=True)
    ]
    return pa.Table.from_batches([_rows(lists, shelf, order)])


def suggestions(queries: pa.Table, ds: date) -> pa.Table:
    """Return the rows of search_suggestions."""
    rows = [(*row, ds) for row in suggest(queries, SUGGESTED, LONGEST_PREFIX)]
    names = TABLES["search_suggestions"].column_names
    return pa.Table.from_pylist(
        [dict(zip(names, row, strict=True)) for row in rows], arrow_schema(TABLES["search_suggestions"])
    )


def find_askers(events: DataFrame, queries: list[str], since: date) -> DataFrame:
    """Return (user_key, queries: sorted) of the known users who asked one of `queries` since that day."""
    wanted = events.sparkSession.createDataFrame(pa.table({"query": pa.array(queries, pa.string())}))
    return (
        events.where(F.col("query").isNotNull() & F.col("user_key").isNotNull() & (F.col("ds") >= F.lit(since)))
        .select("user_key", "query")
        .join(F.broadcast(wanted), "query", how="left_semi")
        .groupBy("user_key")
        .agg(F.array_sort(F.collect_set("query")).alias("queries"))
    )


def own_results(askers: DataFrame, vectors: DataFrame, order: SearchOrder) -> DataFrame:
    """Return the rows of search_results of the users who asked."""
    asking = askers.join(vectors, "user_key", how="inner").select("user_key", "queries", "vector")
    # Dot products of a few items per user: no Spark expression does this.
    return asking.mapInArrow(_reorderer(order), spark_ddl(TABLES["search_results"]))


@dataclass(frozen=True)
class _Listed:
    query: str
    user: str | None
    items: Indices
    scores: Scores
    reasons: list[str]


def _reorderer(order: SearchOrder) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def reorder(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        shelf, found = open_offered_items(order.shelf), open_found(order.found)
        places = {query: place for place, query in enumerate(found.queries)}
        for batch in batches:
            lists = []
            for row in batch.to_pylist():
                if row["user_key"] not in shelf.no_shelf:
                    vector = np.array(row["vector"], np.float32)[None]
                    asked = [places[query] for query in row["queries"]]
                    lists += [_own(row["user_key"], vector, found, place, shelf, order) for place in asked]
            yield _rows(lists, shelf, order)

    return reorder


def _own(user: str, vector: Vectors, found: Found, place: int, shelf: OfferedItems, order: SearchOrder) -> _Listed:
    """Return one query's results in the order that fuses its own with the user's."""
    query, items = found.queries[place], found.items[place]
    kept = ~np.isin(items, shelf.opt_outs.get(user, items[:0]))
    scores = shelf.scoring.pairs(vector, shelf.vectors, np.zeros(kept.sum(), np.int64), items[kept])
    liked = items[kept][np.lexsort((items[kept], -scores))]
    gains = dict(zip(items.tolist(), found.scores[place].tolist(), strict=True))
    added, more = fuse([liked], len(liked))
    sums = np.array([gains[int(item)] for item in added]) + more
    best = np.lexsort((added, -np.round(sums, 12)))[: order.rows]
    covered = dict(zip(items.tolist(), found.covered[place], strict=True))
    top = set(liked[:_LIKED].tolist())
    reasons = [say_why(query, covered[int(item)], int(item) in top) for item in added[best]]
    return _Listed(query, user, added[best], np.round(sums[best], 12), reasons)


def _rows(lists: list[_Listed], shelf: OfferedItems, order: SearchOrder) -> pa.RecordBatch:
    sizes = [len(one.items) for one in lists]
    owners = np.repeat(np.arange(len(lists)), sizes)
    ranks = [np.arange(1, size + 1) for size in sizes]
    columns = {
        "query": pa.array([one.query for one in lists], pa.string()).take(owners),
        "user_key": pa.array([one.user for one in lists], pa.string()).take(owners),
        "rank": np.concatenate([*ranks, np.zeros(0)]).astype(np.int32),
        "item_id": shelf.item_ids.take(np.concatenate([*(one.items for one in lists), np.zeros(0, np.int64)])),
        "score": np.concatenate([*(one.scores for one in lists), np.zeros(0)]),
        "reason": [reason for one in lists for reason in one.reasons[: len(one.items)]],
        "model_version": pa.repeat(order.model_version, len(owners)),
        "ds": pa.repeat(pa.scalar(order.ds), len(owners)),
    }
    return pa.RecordBatch.from_pydict(columns, schema=arrow_schema(TABLES["search_results"]))


def found_file(shelf_folder: str) -> Path:
    """Return where the night's search lies."""
    return Path(shelf_folder) / "found.parquet"
