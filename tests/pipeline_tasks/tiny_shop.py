"""A shop that is small enough to train on in seconds: two kinds of users, two kinds of items, a few new of each."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema

RUN_KEY = RunKey("tiny_shop", date(2026, 11, 20))
WORDS = (("garden", "rose", "watering can", "seed tray"), ("office", "pen", "notebook", "desk lamp"))
WINDOW = 30


def write_tiny_shop(lake: Lake, run_key: RunKey = RUN_KEY, users: int = 120, items: int = 60, seed: int = 5) -> None:
    """Fill items, sequences and splits of one run. The last item has no events, and one session is anonymous."""
    rng = np.random.default_rng(seed)
    start = datetime.combine(run_key.ds - timedelta(days=WINDOW - 1), datetime.min.time(), UTC)
    sequences = [_sequence(rng, start, f"u{number:03d}", number % 2, items, run_key.ds) for number in range(users)]
    anonymous = _sequence(rng, start, "session:s1", 0, items, run_key.ds) | {"user_key": None}
    times = np.sort(np.concatenate([row["timestamps"] for row in sequences]))
    cut = [datetime.fromtimestamp(int(times[int(len(times) * share)]) / 1e6, UTC) for share in (0.6, 0.8)]
    split = {
        "split_id": f"split-{seed}",
        "strategy": "temporal",
        "events_snapshot_id": 1,
        "window_start": start.date(),
        "train_end": cut[0],
        "validation_end": cut[1],
        "ds": run_key.ds,
        **dict.fromkeys(("train_events", "validation_events", "test_events"), 1),
        **dict.fromkeys(("cancellations", "netted_purchases"), 0),
    }
    catalog = [_item(number, run_key.ds) for number in range(items + 1)]
    for name, rows in (("sequences", [*sequences, anonymous]), ("splits", [split]), ("items", catalog)):
        table = pa.Table.from_pylist(rows, schema=arrow_schema(TABLES[name]))
        lake.commit(name, [run_key.ds], lake.write_arrow(name, table))


def write_events(lake: Lake, rows: Sequence[Mapping[str, object]]) -> None:
    """Replace the events of all days that occur in the rows."""
    empty = dict.fromkeys(TABLES["events"].column_names)
    numbered = [empty | dict(row) | {"event_id": number} for number, row in enumerate(rows)]
    table = pa.Table.from_pylist(numbered, schema=arrow_schema(TABLES["events"]))
    lake.commit("events", sorted(set(table["ds"].to_pylist())), lake.write_arrow("events", table))


def ratings_of(sequence: Mapping[str, Any]) -> list[dict[str, object]]:
    """Return a rating event for each event of a history. Every third item has 2 stars, the others 4 or 5."""
    who = {"user_key": sequence["user_key"]} if sequence["user_key"] else {"session_id": "s1"}
    return [
        who | {"item_id": item, "event_type": kind, "rating": (2.0, 4.0, 5.0)[int(item[1:]) // 2 % 3]} | at(time)
        for item, kind, time in zip(sequence["item_ids"], sequence["event_types"], sequence["timestamps"], strict=True)
    ]


def at(time: int) -> dict[str, object]:
    """Return ts, ds and arrived of an event at epoch microseconds."""
    moment = datetime.fromtimestamp(time / 1e6, UTC)
    return {"ts": moment, "ds": moment.date(), "arrived": moment.date()}


def _sequence(
    rng: np.random.Generator, start: datetime, key: str, kind: int, items: int, ds: date
) -> dict[str, object]:
    length = int(rng.integers(8, 20))
    own = np.arange(kind, items, 2)
    # Each user walks along the items of the kind: what follows what can be learned.
    chosen = own[(rng.integers(0, len(own)) + np.arange(length) * 2) % len(own)]
    moments = np.sort(rng.integers(0, WINDOW * 86_400, length)) * 1_000_000 + int(start.timestamp()) * 1_000_000
    kinds = np.where(rng.random(length) < 0.6, "purchase", "view")
    return {
        "sequence_key": key,
        "user_key": key,
        "item_ids": [f"i{item:03d}" for item in chosen],
        "event_types": kinds.tolist(),
        "timestamps": moments.tolist(),
        "ds": ds,
    }


def _item(number: int, ds: date) -> dict[str, object]:
    words = WORDS[number % 2]
    return {
        "item_id": f"i{number:03d}",
        "title": f"{words[1 + number % 3]} no {number}",
        "category": words[0],
        "brand": None,
        "price": 1.0 + number,
        "attributes": '{"color": "red"}' if number % 5 == 0 else None,
        "first_seen": ds,
        "ds": ds,
    }
