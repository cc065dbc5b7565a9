"""Fills search_results and search_suggestions for the top queries of the run."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.models.text_search import fuse
from pipeline_tasks.recommend.offered_items import OfferedItems, open_offered_items
from pipeline_tasks.recommend.search_results import Found, open_found, search_reason, suggest
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema, spark_ddl
from pipeline_tasks.topk.arrays import Indices, Scores, Vectors

SUGGESTED: Final = 8
LONGEST_PREFIX: Final = 20
_LIKED: Final = 5
"""Ranks within the user's order of the results up to which a result's reason names the user's taste."""


@dataclass(frozen=True)
class SearchRequest:
    """Parameters of the search results."""

    folder: str
    """Folder of `pipeline_tasks.recommend.offered_items`."""
    found: str
    """File of `pipeline_tasks.recommend.search_results.save_found`."""
    rows: int
    model_version: str
    ds: date


def global_results(found: Found, offered: OfferedItems, request: SearchRequest) -> pa.Table:
    """Return the rows of search_results for everyone (user_key is NULL)."""
    rows, searches = request.rows, zip(found.queries, found.items, found.scores, found.covered, strict=True)
    lists = [
        _ResultList(query, None, items[:rows], scores[:rows], [search_reason(query, c, False) for c in covered])
        for query, items, scores, covered in searches
    ]
    return pa.Table.from_batches([_rows(lists, offered, request)])


def suggestions(queries: pa.Table, ds: date) -> pa.Table:
    """Return the rows of search_suggestions."""
    rows = [(*row, ds) for row in suggest(queries, SUGGESTED, LONGEST_PREFIX)]
    names = TABLES["search_suggestions"].column_names
    return pa.Table.from_pylist(
        [dict(zip(names, row, strict=True)) for row in rows], arrow_schema(TABLES["search_suggestions"])
    )


def find_searchers(events: DataFrame, queries: list[str], since: date) -> DataFrame:
    """Return (user_key, queries: sorted) of the known users who searched for one of `queries` since that day."""
    wanted = events.sparkSession.createDataFrame(pa.table({"query": pa.array(queries, pa.string())}))
    return (
        events.where(F.col("query").isNotNull() & F.col("user_key").isNotNull() & (F.col("ds") >= F.lit(since)))
        .select("user_key", "query")
        .join(F.broadcast(wanted), "query", how="left_semi")
        .groupBy("user_key")
        .agg(F.array_sort(F.collect_set("query")).alias("queries"))
    )


def personal_results(searchers: DataFrame, vectors: DataFrame, request: SearchRequest) -> DataFrame:
    """Return the rows of search_results of the users who searched, ordered by query and taste."""
    with_vectors = searchers.join(vectors, "user_key", how="inner").select("user_key", "queries", "vector")
    # Spark has no expression for dot products of a few items per user.
    return with_vectors.mapInArrow(_reorderer(request), spark_ddl(TABLES["search_results"]))


@dataclass(frozen=True)
class _ResultList:
    query: str
    user: str | None
    items: Indices
    scores: Scores
    reasons: list[str]


def _reorderer(request: SearchRequest) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def reorder(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        offered, found = open_offered_items(request.folder), open_found(request.found)
        places = {query: place for place, query in enumerate(found.queries)}
        for batch in batches:
            lists = []
            for row in batch.to_pylist():
                if row["user_key"] not in offered.without_recommendations:
                    vector = np.array(row["vector"], np.float32)[None]
                    lists += [
                        _personal_list(row["user_key"], vector, found, places[query], offered, request)
                        for query in row["queries"]
                    ]
            yield _rows(lists, offered, request)

    return reorder


def _personal_list(
    user: str, vector: Vectors, found: Found, place: int, offered: OfferedItems, request: SearchRequest
) -> _ResultList:
    """Return the results of one query by the rank fusion of everyone's order and the user's."""
    query, items = found.queries[place], found.items[place]
    kept = ~np.isin(items, offered.opt_outs.get(user, items[:0]))
    scores = offered.scoring.pairs(vector, offered.vectors, np.zeros(kept.sum(), np.int64), items[kept])
    liked = items[kept][np.lexsort((items[kept], -scores))]
    gains = dict(zip(items.tolist(), found.scores[place].tolist(), strict=True))
    added, more = fuse([liked], len(liked))
    sums = np.array([gains[int(item)] for item in added]) + more
    best = np.lexsort((added, -np.round(sums, 12)))[: request.rows]
    covered = dict(zip(items.tolist(), found.covered[place], strict=True))
    top = set(liked[:_LIKED].tolist())
    reasons = [search_reason(query, covered[int(item)], int(item) in top) for item in added[best]]
    return _ResultList(query, user, added[best], np.round(sums[best], 12), reasons)


def _rows(lists: list[_ResultList], offered: OfferedItems, request: SearchRequest) -> pa.RecordBatch:
    sizes = [len(result.items) for result in lists]
    owners = np.repeat(np.arange(len(lists)), sizes)
    ranks = [np.arange(1, size + 1) for size in sizes]
    columns = {
        "query": pa.array([result.query for result in lists], pa.string()).take(owners),
        "user_key": pa.array([result.user for result in lists], pa.string()).take(owners),
        "rank": np.concatenate([*ranks, np.zeros(0)]).astype(np.int32),
        "item_id": offered.item_ids.take(np.concatenate([*(result.items for result in lists), np.zeros(0, np.int64)])),
        "score": np.concatenate([*(result.scores for result in lists), np.zeros(0)]),
        "reason": [reason for result in lists for reason in result.reasons[: len(result.items)]],
        "model_version": pa.repeat(request.model_version, len(owners)),
        "ds": pa.repeat(pa.scalar(request.ds), len(owners)),
    }
    return pa.RecordBatch.from_pydict(columns, schema=arrow_schema(TABLES["search_results"]))


def found_file(shelf_folder: str) -> Path:
    """Return the file of the search results of the run, before they are personal."""
    return Path(shelf_folder) / "found.parquet"
