"""Synthetic shops of users who do or do not repeat items, and metrics recomputed from the served table."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema

USERS, ITEMS, DAYS = 90, 48, 60
END = date(2026, 11, 20)
FIRST = datetime.combine(END - timedelta(days=DAYS - 1), datetime.min.time(), UTC)


@dataclass(frozen=True)
class Event:
    item: str
    kind: str
    moment: int
    """Epoch microseconds."""


@dataclass
class EvaluatedShop:
    """Histories, split into the known part and the test part."""

    name: str
    histories: dict[str, list[Event]]
    strategy: str
    known: dict[str, list[Event]] = field(init=False)
    test: dict[str, list[Event]] = field(init=False)
    cuts: list[int] = field(init=False)
    """Ends of train and of validation."""

    def __post_init__(self) -> None:
        """Cut the histories."""
        times = sorted(event.moment for own in self.histories.values() for event in own)
        self.cuts = [times[int(len(times) * share)] for share in (0.6, 0.8)]
        last = self.strategy == "leave_one_out"
        self.known = {
            user: own[:-1] if last else [event for event in own if event.moment <= self.cuts[1]]
            for user, own in self.histories.items()
        }
        self.test = {user: own[len(self.known[user]) :] for user, own in self.histories.items()}

    @property
    def run_key(self) -> RunKey:
        """The run that is split and evaluated."""
        return RunKey(self.name, END)

    @property
    def served(self) -> RunKey:
        """An earlier run with exactly the events from which the test part is predicted."""
        last = max(event.moment for own in self.known.values() for event in own)
        return RunKey(self.name, min(datetime.fromtimestamp(last / 1e6, UTC).date(), END - timedelta(days=1)))

    def write(self, lake: Lake) -> None:
        """Publish both days."""
        ends = [datetime.fromtimestamp(moment / 1e6, UTC) for moment in self.cuts]
        split = dict.fromkeys(("train_events", "validation_events", "test_events", "events_snapshot_id"), 1)
        split |= dict.fromkeys(("cancellations", "netted_purchases"), 0)
        row = split | {"split_id": "s", "strategy": self.strategy, "window_start": FIRST.date()}
        row |= {"train_end": ends[0], "validation_end": ends[1]}
        for run_key, histories in ((self.run_key, self.histories), (self.served, self.known)):
            sequences = [_sequence(user, own) for user, own in histories.items() if own]
            items = [{"item_id": f"i{n:02d}", "title": f"kind {n % 3} number {n}"} for n in range(ITEMS)]
            for name, rows in (("sequences", sequences), ("splits", [row]), ("items", items)):
                empty = dict.fromkeys(TABLES[name].column_names) | {"first_seen": FIRST.date()}
                table = pa.Table.from_pylist(
                    [empty | each | {"ds": run_key.ds} for each in rows], arrow_schema(TABLES[name])
                )
                lake.commit(name, [run_key.ds], lake.write_arrow(name, table))

    def ndcg(self, rows: Iterable[Mapping[str, Any]], excluded: Mapping[str, set[str]]) -> float:
        """Return NDCG@10 of the table's rows by the test part; `excluded` items are not asked for."""
        lists: dict[str, dict[int, str]] = {}
        for row in rows:
            lists.setdefault(row["user_key"], {})[row["rank"]] = row["item_id"]
        gains = 1 / np.log2(np.arange(2, 12))
        found = []
        for user, later in self.test.items():
            wanted = {event.item for event in later} - excluded.get(user, set())
            if self.known[user] and wanted:
                hits = [lists[user].get(rank) in wanted for rank in range(1, 11)]
                found.append(float(gains[hits].sum() / gains[: len(wanted)].sum()))
        return float(np.mean(found))


def reviews() -> EvaluatedShop:
    """No user rates an item twice; each rates items of one kind, and the last one is the test."""
    return EvaluatedShop("reviews", _never_again(7), "leave_one_out")


def ratings() -> EvaluatedShop:
    """No user rates an item twice; the split is temporal."""
    return EvaluatedShop("ratings", _never_again(8), "temporal")


def grocery() -> EvaluatedShop:
    """Each user buys a few items of one kind repeatedly, some of them weekly."""
    rng = np.random.default_rng(9)
    histories = {}
    for number in range(USERS):
        own = rng.choice(np.arange(number % 3, ITEMS, 3), 6, replace=False)
        days = np.sort(rng.choice(DAYS, 16, replace=False))
        histories[f"u{number:02d}"] = [_event(int(rng.choice(own)), "purchase", int(day), number) for day in days]
    return EvaluatedShop("grocery", histories, "temporal")


def _never_again(seed: int) -> dict[str, list[Event]]:
    rng = np.random.default_rng(seed)
    histories = {}
    for number in range(USERS):
        own = np.arange(number % 3, ITEMS, 3)
        length = int(rng.integers(5, 11))
        days = np.sort(rng.choice(DAYS, length, replace=False))
        rated = rng.choice(own, length, replace=False)
        histories[f"u{number:02d}"] = [
            _event(int(item), "rating", int(day), number) for item, day in zip(rated, days, strict=True)
        ]
    return histories


def _event(item: int, kind: str, day: int, number: int) -> Event:
    return Event(f"i{item:02d}", kind, int((FIRST + timedelta(days=day, minutes=number)).timestamp()) * 1_000_000)


def _sequence(user: str, own: list[Event]) -> dict[str, Any]:
    return {
        "sequence_key": user,
        "user_key": user,
        "item_ids": [event.item for event in own],
        "event_types": [event.kind for event in own],
        "timestamps": [event.moment for event in own],
    }
