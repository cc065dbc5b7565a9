"""A synthetic run of any size as `recommend_items` reads it: published tables and random vectors."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.staging import staging_folder
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema

DAYS: Final = 30
_DAY: Final = 86_400_000_000
_AT_ONCE: Final = 50_000
"""Users generated at a time."""
_KINDS: Final = np.array(["view", "view", "view", "cart", "purchase"], object)


@dataclass(frozen=True)
class LargeRun:
    """Size of the run."""

    users: int
    items: int
    events: int = 12
    """Of every user."""
    width: int = 64
    queries: int = 20

    @property
    def run_key(self) -> RunKey:
        return RunKey("large", date(2026, 11, 20))

    @property
    def first_day(self) -> date:
        return self.run_key.ds - timedelta(days=DAYS - 1)

    @property
    def item_ids(self) -> pa.Array:
        return pa.array([f"i{number:07d}" for number in range(self.items)])

    def prepare(self, settings: Settings) -> None:
        """Publish the tables and write the vectors."""
        lake = Lake.open(settings, self.run_key.source)
        ds = self.run_key.ds
        lake.commit("items", [ds], lake.write_arrow("items", self._catalog()))
        lake.commit("splits", [ds], lake.write_arrow("splits", self._split()))
        folder = staging_folder(settings, self.run_key) / "vectors"
        (folder / "users").mkdir(parents=True, exist_ok=True)
        written: dict[str, list[str]] = {"sequences": [], "events": []}
        for number, first in enumerate(range(0, self.users, _AT_ONCE)):
            rng, keys = np.random.default_rng([7, number]), self._keys(first)
            events = self._draw_events(rng, keys)
            written["sequences"] += lake.write_arrow("sequences", self._sequences(events))
            written["events"] += lake.write_arrow("events", self._events(events))
            pq.write_table(self._vectors(rng, keys), folder / "users" / f"part-{number:05d}.parquet")
        lake.commit("sequences", [ds], written["sequences"])
        lake.commit("events", [self.first_day + timedelta(days=day) for day in range(DAYS)], written["events"])
        self._write_items(folder)

    def _keys(self, first: int) -> list[str]:
        return [f"u{number:08d}" for number in range(first, min(first + _AT_ONCE, self.users))]

    def _draw_events(self, rng: np.random.Generator, keys: list[str]) -> "_EventColumns":
        end = int(datetime.combine(self.run_key.ds, datetime.min.time(), UTC).timestamp()) * 1_000_000 + _DAY
        size = (len(keys), self.events)
        times = np.sort(rng.integers(end - DAYS * _DAY, end, size), axis=1).ravel()
        # Squared: a few items are popular.
        items = (rng.random(size) ** 2 * self.items).astype(np.int64).ravel()
        return _EventColumns(
            keys, times, self.item_ids.take(pa.array(items)), pa.array(rng.choice(_KINDS, times.shape))
        )

    def _sequences(self, events: "_EventColumns") -> pa.Table:
        starts = pa.array(np.arange(len(events.keys) + 1) * self.events, pa.int32())
        columns = {
            "sequence_key": pa.array(events.keys),
            "user_key": pa.array(events.keys),
            "item_ids": pa.ListArray.from_arrays(starts, events.items),
            "event_types": pa.ListArray.from_arrays(starts, events.kinds),
            "timestamps": pa.ListArray.from_arrays(starts, pa.array(events.times)),
            "ds": pa.repeat(pa.scalar(self.run_key.ds), len(events.keys)),
        }
        return _filled("sequences", columns)

    def _events(self, events: "_EventColumns") -> pa.Table:
        times = pa.array(events.times, pa.timestamp("us", tz="UTC"))
        users = pa.array(np.repeat(np.array(events.keys, object), self.events))
        searched = np.arange(len(events.times)) % self.events == 0
        queries = pa.array(np.arange(len(events.times)) % max(self.queries, 1)).cast(pa.string())
        query = pc.binary_join_element_wise("title of", queries, " ")
        columns = {
            "event_id": pa.array(events.times),
            "user_key": users,
            "event_type": pc.if_else(pa.array(searched), "search", events.kinds),
            "item_id": pc.if_else(pa.array(searched), None, events.items),
            "query": pc.if_else(pa.array(searched), query, None),
            "ts": times,
            "ds": times.cast(pa.date32()),
            "arrived": times.cast(pa.date32()),
        }
        return _filled("events", columns)

    def _catalog(self) -> pa.Table:
        numbers = range(self.items)
        columns = {
            "item_id": self.item_ids,
            "title": pa.array([f"title of {number}" for number in numbers]),
            "category": pa.array([f"Kitchen > C{number % 40}" for number in numbers]),
            "brand": pa.array([f"B{number % 90}" for number in numbers]),
            "price": pa.array([1.0 + number % 50 for number in numbers]),
            "first_seen": pa.array([self.run_key.ds if number % 50 == 0 else self.first_day for number in numbers]),
            "ds": pa.repeat(pa.scalar(self.run_key.ds), self.items),
        }
        return _filled("items", columns)

    def _split(self) -> pa.Table:
        row: dict[str, Any] = dict.fromkeys(TABLES["splits"].column_names, 1)
        row |= {"split_id": "s", "strategy": "temporal", "train_end": None, "validation_end": None}
        row |= {"window_start": self.first_day, "ds": self.run_key.ds}
        return pa.Table.from_pylist([row], schema=arrow_schema(TABLES["splits"]))

    def _vectors(self, rng: np.random.Generator, keys: list[str]) -> pa.Table:
        vectors = pa.array(rng.standard_normal(len(keys) * self.width).astype(np.float32))
        none = pa.array(np.zeros(len(keys) + 1), pa.int32())
        starts = pa.array(np.arange(len(keys) + 1) * self.width, pa.int32())
        columns = {
            "user_key": pa.array(keys),
            "vector": pa.ListArray.from_arrays(starts, vectors),
            "own_items": pa.ListArray.from_arrays(none, pa.array([], pa.int32())),
            "own_scores": pa.ListArray.from_arrays(none, pa.array([], pa.float32())),
        }
        return pa.table(columns)

    def _write_items(self, folder: Path) -> None:
        rng = np.random.default_rng(8)
        for name in ("items", "visitors"):
            np.save(folder / f"{name}.npy", rng.standard_normal((self.items, self.width)).astype(np.float32))
        pq.write_table(pa.table({"item_id": self.item_ids}), folder / "item_ids.parquet")
        queries = [f"title of {number}" for number in range(self.queries)]
        searches = pa.array([self.users] * self.queries, pa.int64())
        pq.write_table(
            pa.table({"query": pa.array(queries, pa.string()), "searches": searches}), folder / "queries.parquet"
        )
        np.save(folder / "item_texts.npy", rng.standard_normal((self.items, 16)).astype(np.float32))
        np.save(folder / "query_texts.npy", rng.standard_normal((self.queries, 16)).astype(np.float32))
        meta = {"model_version": "nightshelf-large/1", "dimension": self.width, "users": self.users}
        (folder / "meta.json").write_text(json.dumps(meta))


@dataclass(frozen=True)
class _EventColumns:
    keys: list[str]
    times: npt.NDArray[np.int64]
    items: pa.Array
    kinds: pa.Array


def _filled(name: str, columns: dict[str, pa.Array]) -> pa.Table:
    """Return the columns of the contract; those that are not given are empty."""
    schema = arrow_schema(TABLES[name])
    rows = len(next(iter(columns.values())))
    return pa.table({field.name: _column(columns, field, rows) for field in schema}, schema=schema)


def _column(columns: dict[str, pa.Array], field: pa.Field, rows: int) -> pa.Array:
    return columns[field.name].cast(field.type) if field.name in columns else pa.nulls(rows, field.type)
