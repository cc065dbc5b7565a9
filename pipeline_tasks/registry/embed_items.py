"""Writes the champion's vectors of all items, users, visitors and top queries of a day.

python -m pipeline_tasks.registry.embed_items --source simulated_shop --date 2026-11-20
"""

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from pipeline_tasks.config.recommendation_settings import ScoringSettings
from pipeline_tasks.config.settings import Settings, settings
from pipeline_tasks.data.interactions import Floats, Integers, Interactions
from pipeline_tasks.data.item_catalog import ItemCatalog
from pipeline_tasks.data.run_data import read_run_data
from pipeline_tasks.device import prepare_torch
from pipeline_tasks.errors import job_errors
from pipeline_tasks.lake.files import table_location, write_atomically
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.source_lock import job_lock
from pipeline_tasks.lake.staging import staging_folder
from pipeline_tasks.models.two_tower.saved_recommender import SavedRecommender
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.progress_log import ProgressLog
from pipeline_tasks.registry.registry import champion_version, load_version
from pipeline_tasks.registry.served_policy import REPEAT_POLICY, repeat_policy_of
from pipeline_tasks.run_key import RunKey, parsed_run_key, run_key_parser
from pipeline_tasks.tables.contracts import CHOSEN_TYPES

QUERIES = pa.schema([("query", pa.string()), ("searches", pa.int64())])
_USERS_PER_FILE: Final = 50_000
_VISITORS_AT_ONCE: Final = 50_000


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


def embed_catalog(settings: Settings, key: RunKey) -> dict[str, Any]:
    """Write the folder ``vectors/`` in the day's staging folder and return its meta.

    The folder holds items.npy (items, d) float32 with item_ids.parquet in the same order, visitors.npy (see
    `write_visitors`), users/part-*.parquet, meta.json, and the files of `write_search` for the window's top queries.

    Users are embedded by their whole history up to the day, and the popularity features of items are those of the day,
    so the vectors are current even with an older champion. The score of an item for a user is what `pair_scores`
    computes from the two vectors: the dot product, unless the model's matching is additive. For own_items (indices
    into items.npy), own_scores are added.

    Raises:
        ValueError: there is no champion, or the day has no sequences.
    """
    version = champion_version(settings, key)
    if version is None:
        raise ValueError(f"{key.source} has no champion in the registry: train and promote one first (nightshelf run)")
    prepare_torch(settings.training.threads)
    data = read_run_data(Lake.open(settings, key.source), key)
    saved = load_version(settings, key.source, version)
    recommender = saved.for_catalog(data.catalog, data.log)
    folder = staging_folder(settings, key) / "vectors"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    window = (data.split["window_start"], key.ds)
    queries = top_queries(Lake.open(settings, key.source), window, settings.scoring)
    write_search(folder, queries, saved, data.catalog, str(recommender.model.device))
    about: dict[str, Any] = {"model_version": f"{version.name}/{version.version}", "ds": key.ds.isoformat()}
    about |= {
        "snapshots": data.snapshots,
        REPEAT_POLICY: repeat_policy_of(saved.facts, data.log, settings.scoring).as_facts(),
    }
    return write_vectors(folder, recommender, data.log, data.catalog.item_ids, about)


def write_vectors(
    folder: Path, recommender: TwoTowerRecommender, log: Interactions, item_ids: list[str], about: dict[str, Any]
) -> dict[str, Any]:
    """Write the vectors of `item_ids`, of the known users of `log` and of visitors, and meta.json.

    Return the meta: `about`, and the sizes and layout of the vectors.
    """
    (folder / "users").mkdir(parents=True)
    recommender = recommender.prepared()
    items, users = recommender.item_matrix(), log.select(np.flatnonzero(log.known))
    progress = ProgressLog("vectors", len(users), "users embedded")
    for number, start in enumerate(range(0, len(users), _USERS_PER_FILE)):
        progress.at(start)
        part = users.select(np.arange(start, min(start + _USERS_PER_FILE, len(users))))
        _write_users(folder / "users" / f"part-{number:05d}.parquet", part, recommender)
    np.save(folder / "items.npy", items)
    write_visitors(folder / "visitors.npy", recommender, commonest_type(log))
    pq.write_table(pa.table({"item_id": item_ids}), folder / "item_ids.parquet")
    meta = about | {"users": len(users)} | _shape(recommender, items)
    # Written last: where it exists, the folder is complete.
    write_atomically(folder / "meta.json", json.dumps(meta, indent=1))
    return meta


def _shape(recommender: TwoTowerRecommender, items: Floats) -> dict[str, Any]:
    return {
        "dimension": items.shape[1],
        "items": len(items),
        # The first numbers of a vector describe the item's content; the rest describes its demand.
        "content_dimension": min(recommender.model.config.dimension, recommender.model.matching.width),
        "additive_weights": recommender.additive_weights.tolist(),
    }


def _write_users(path: Path, users: Interactions, recommender: TwoTowerRecommender) -> None:
    vectors, added = recommender.user_matrix(users), recommender.repeat_additions(users)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    starts = pa.array(added.indptr, pa.int32())
    columns = {
        "user_key": users.keys,
        "vector": flat.cast(pa.list_(pa.float32())),
        "own_items": pa.ListArray.from_arrays(starts, pa.array(added.indices, pa.int32())),
        "own_scores": pa.ListArray.from_arrays(starts, pa.array(added.data, pa.float32())),
    }
    pq.write_table(pa.table(columns), path)


def write_visitors(path: Path, recommender: TwoTowerRecommender, event_type: int) -> None:
    """Write (items, d) float32: row i is the user vector of a visitor with one event, with item i, just now.

    The table `next_items` is computed from these vectors.

    Args:
        recommender: a recommender that is `prepared`, because it is called once for each part.
        event_type: the type of the event, an index into CHOSEN_TYPES.
    """
    count, width = recommender.item_matrix().shape
    # Written in parts, because a second matrix of a million items may not fit into memory. Not to a mapped file either:
    # on a full disk, writing to one ends the process without an error.
    kind = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)), "fortran_order": False}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, kind | {"shape": (count, width)})
        for start in range(0, count, _VISITORS_AT_ONCE):
            items = np.arange(start, min(start + _VISITORS_AT_ONCE, count), dtype=np.int64)
            vectors = recommender.user_matrix(_visits(items, event_type, recommender.moment - 1))
            file.write(np.ascontiguousarray(vectors, np.float32).data)


def commonest_type(log: Interactions) -> int:
    """Return the commonest event type of a log, an index into CHOSEN_TYPES."""
    return int(np.bincount(log.types, minlength=len(CHOSEN_TYPES)).argmax())


def _visits(items: Integers, event_type: int, moment: int) -> Interactions:
    """Return one history with one event for each item."""
    count = len(items)
    return Interactions(
        [f"item:{item}" for item in items],
        np.zeros(count, np.bool_),
        np.arange(count + 1, dtype=np.int64),
        items,
        np.full(count, event_type, np.int64),
        np.full(count, moment, np.int64),
    )


def main() -> None:
    """Run from the command line."""
    key = parsed_run_key(run_key_parser(__doc__).parse_args())
    with job_lock(settings(), key.source, f"embed_shelf {key.ds}"):
        meta = embed_catalog(settings(), key)
    print(f"{meta['users']} users and {meta['items']} items embedded by {meta['model_version']}")


if __name__ == "__main__":
    with job_errors():
        main()
