"""The top queries of a run, and the vectors of queries and items by the champion's text encoder."""

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from pipeline_tasks.config.recommendation_settings import ScoringSettings
from pipeline_tasks.data.item_catalog import ItemCatalog
from pipeline_tasks.lake.file_location import table_location
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.models.two_tower.saved_recommender import SavedRecommender

QUERIES = pa.schema([("query", pa.string()), ("searches", pa.int64())])


def top_queries(lake: Lake, window: tuple[date, date], scoring: ScoringSettings) -> pa.Table:
    """Return (query, searches) of the window's search events, the most frequent first.

    If no event has the type search, all events with a query count. Queries of fewer than `search_min_shoppers` users or
    sessions are left out.
    """
    files = lake.files("events", window)
    if not files or scoring.search_queries == 0:
        return QUERIES.empty_table()
    system, paths = table_location(files)
    # The filter is applied while reading, because a window of 20 million events has few searches.
    events = ds.dataset(paths, filesystem=system, format="parquet").to_table(
        ["query", "event_type", "user_key", "session_id"], filter=ds.field("query").is_valid()
    )
    searches = pc.equal(events["event_type"], "search")
    if pc.any(searches).as_py():
        events = events.filter(searches)
    who = pc.coalesce(events["user_key"], events["session_id"])
    counted = (
        pa.table({"query": events["query"], "who": who})
        .group_by("query")
        .aggregate([("query", "count"), ("who", "count_distinct")])
    )
    counted = counted.filter(pc.field("who_count_distinct") >= scoring.search_min_shoppers)
    best = counted.sort_by([("query_count", "descending"), ("query", "ascending")]).slice(0, scoring.search_queries)
    return pa.table([best["query"], best["query_count"]], schema=QUERIES)


def write_search(folder: Path, queries: pa.Table, saved: SavedRecommender, catalog: ItemCatalog, device: str) -> None:
    """Write queries.parquet, query_texts.npy (queries, w) and item_texts.npy (items, w), with vectors of length 1.

    Without queries, only queries.parquet is written.
    """
    pq.write_table(queries, folder / "queries.parquet")
    if not queries.num_rows:
        return
    texts = saved.text_vectors(catalog.texts)
    np.save(folder / "item_texts.npy", _normal(np.nan_to_num(texts)))
    queries_of = saved.encoders.open_text(device).encode(queries["query"].to_pylist())
    np.save(folder / "query_texts.npy", _normal(queries_of))


def _normal(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)
