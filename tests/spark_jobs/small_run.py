"""One small run of a shop as `recommend_items` reads it: published tables, vectors and searches."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_tasks.config.recommendation_settings import ScoringSettings
from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.staging import Manifest, staging_folder
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema
from pipeline_tasks.topk.arrays import Vectors

RUN_KEY = RunKey("shop", date(2026, 11, 20))
ITEMS = [f"i{n:02d}" for n in range(12)]
SCORING = ScoringSettings(
    top_k=4,
    fallback_k=6,
    similar_k=3,
    next_k=3,
    exclude_purchased_days=5,
    block_users=2,
    search_k=3,
    audience_k=3,
    clusters=2,
)


def micros(day: int) -> int:
    return int(datetime(2026, 11, day, 12, tzinfo=UTC).timestamp()) * 1_000_000


def history(user: str | None, *events: tuple[str, str, int]) -> dict[str, Any]:
    items, kinds, days = zip(*events, strict=True)
    times = [micros(day) for day in days]
    key = user or "session:s1"
    return {"sequence_key": key, "user_key": user, "item_ids": items, "event_types": kinds, "timestamps": times}


SEQUENCES = [
    history("ann", ("i00", "view", 18), ("i01", "purchase", 19), ("i02", "purchase", 3)),
    history("bob", ("i03", "purchase", 20)),
    history("cleo", *((name, "purchase", 20) for name in ITEMS)),
    history("dan", *((name, "purchase", 20) for name in ITEMS[2:])),
    history("eve", ("i02", "view", 1)),
    history(None, ("i05", "view", 20), ("i05", "view", 20)),
]
SEGMENTS = {"ann": "loyal", "bob": "new", "cleo": "new", "dan": "new", "eve": "lapsed"}


def item(name: str, number: int) -> dict[str, Any]:
    category = f"Kitchen > C{number % 3}" if number < 9 else None
    return {"item_id": name, "title": f"Title {name}", "category": category, "first_seen": RUN_KEY.ds}


def events() -> list[dict[str, Any]]:
    """Return the events of the sequences, and the searches."""
    rows = [
        event(one["user_key"], micro, kind, item_id)
        for one in SEQUENCES
        for item_id, kind, micro in zip(one["item_ids"], one["event_types"], one["timestamps"], strict=True)
    ]
    asked = (("ann", 19, "title i07"), ("bob", 20, "title i07"), ("ann", 2, "title"), ("bob", 20, "title"))
    return rows + [event(user, micros(day), "search", None, query=query) for user, day, query in asked]


def event(user: str | None, micro: int, kind: str, item_id: str | None, **more: object) -> dict[str, Any]:
    when = datetime.fromtimestamp(micro / 1e6, UTC)
    row = {"event_id": hash((user, micro, item_id)), "user_key": user, "event_type": kind, "item_id": item_id}
    return row | {"ts": when, "ds": when.date(), "arrived": when.date()} | more


def split() -> dict[str, Any]:
    counts = dict.fromkeys(
        ("train_events", "validation_events", "test_events", "cancellations", "netted_purchases", "events_snapshot_id"),
        1,
    )
    return {"split_id": "s", "strategy": "temporal", "window_start": date(2026, 10, 22)} | counts


def write(lake: Lake, name: str, rows: list[dict[str, Any]]) -> None:
    empty = dict.fromkeys(TABLES[name].column_names) | {"ds": RUN_KEY.ds}
    table = pa.Table.from_pylist([empty | row for row in rows], schema=arrow_schema(TABLES[name]))
    lake.commit(name, sorted(set(table["ds"].to_pylist())), lake.write_arrow(name, table))


def write_vectors(
    folder: Path,
    users: dict[str, Vectors],
    items: Vectors,
    own: dict[str, dict[int, float]] | None = None,
    additive: tuple[float, ...] = (),
) -> None:
    """Write the files of `embed_items`; `own`: user -> item -> repeat score; `additive`: its weights."""
    (folder / "users").mkdir(parents=True, exist_ok=True)
    np.save(folder / "items.npy", items)
    # Who turned to the first item wants what the last one is.
    np.save(folder / "visitors.npy", items[::-1])
    pq.write_table(pa.table({"item_id": ITEMS}), folder / "item_ids.parquet")
    vectors = pa.array([vector.tolist() for vector in users.values()], pa.list_(pa.float32()))
    added = [(own or {}).get(user, {}) for user in users]
    columns = {
        "user_key": list(users),
        "vector": vectors,
        "own_items": pa.array([list(each) for each in added], pa.list_(pa.int32())),
        "own_scores": pa.array([list(each.values()) for each in added], pa.list_(pa.float32())),
    }
    pq.write_table(pa.table(columns), folder / "users" / "part-00000.parquet")
    pq.write_table(pa.table({"query": ["title i07", "title"], "searches": [2, 2]}), folder / "queries.parquet")
    np.save(folder / "item_texts.npy", np.eye(len(ITEMS), dtype=np.float32))
    # The encoder finds i08 nearest to "title i07", and i00 to "title".
    np.save(folder / "query_texts.npy", np.eye(len(ITEMS), dtype=np.float32)[[8, 0]])
    meta = {"model_version": "nightshelf-shop/7", "dimension": 5, "content_dimension": 4, "users": len(users)}
    meta["additive_weights"] = list(additive)
    (folder / "meta.json").write_text(json.dumps(meta))


def user_vectors() -> dict[str, Vectors]:
    rng = np.random.default_rng(11)
    return {user: rng.standard_normal(5).astype(np.float32) for user in SEGMENTS}


def item_vectors() -> Vectors:
    vectors = np.random.default_rng(12).standard_normal((len(ITEMS), 5)).astype(np.float32)
    # Twins of ann's first item: the nearest and the reason are known.
    vectors[6, :4] = vectors[0, :4] * 2
    return vectors


def prepare(settings: Settings) -> None:
    """Publish the tables of the run and write its vectors."""
    lake = Lake.open(settings, RUN_KEY.source)
    write(lake, "sequences", SEQUENCES)
    write(lake, "items", [item(name, number) for number, name in enumerate(ITEMS)])
    write(lake, "events", events())
    write(lake, "splits", [split()])
    write_vectors(staging_folder(settings, RUN_KEY) / "vectors", user_vectors(), item_vectors())


def rows_of(manifest: Manifest, table: str) -> list[dict[str, Any]]:
    """Return the staged rows in the order of their keys."""
    tables = [pq.read_table(file, partitioning=None) for file in manifest.tables[table].files]
    rows: list[dict[str, Any]] = [row for found in tables for row in found.to_pylist()]
    return sorted(rows, key=lambda row: [str(row[name]).rjust(20) for name in TABLES[table].key])
