"""Histories as flat arrays, one for each column. Training, baselines and scoring share them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_tasks.tables.contracts import CHOSEN_TYPES

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TypedQueries:
    """Queries of n histories with m events in total."""

    texts: list[str]
    """Distinct queries; the first is '', which stands for no query."""
    led: npt.NDArray[np.int64]
    """(m,) index into `texts`: the query typed before each event, which led to it."""
    last: npt.NDArray[np.int64]
    """(n,) index into `texts`: the query typed after the last event, which has led to no event yet."""

    def select(self, chosen: npt.NDArray[np.int64], events: npt.NDArray[np.int64]) -> "TypedQueries":
        """Keep the histories `chosen` with their `events`, in that order."""
        return replace(self, led=self.led[events], last=self.last[chosen])

    def only(self, keep: npt.NDArray[np.bool_], ends: npt.NDArray[np.bool_]) -> "TypedQueries":
        """Keep the events where `keep` (m,) is true, and last queries where `ends` (n,) says that the end is kept."""
        return replace(self, led=self.led[keep], last=np.where(ends, self.last, 0))

    def without_last(self) -> "TypedQueries":
        """Return the queries without the last ones, which led to no event."""
        return replace(self, last=np.zeros_like(self.last))

    @property
    def words(self) -> list[str]:
        """The query before each of the m events, '' where there was none."""
        return [self.texts[number] for number in self.led]


def read_queries(sequences: pa.Table) -> TypedQueries | None:
    """Return the queries of all events of the table `sequences`; None where no user typed any."""
    if not {"queries", "last_query"} <= set(sequences.column_names):
        return None
    led, last = pc.list_flatten(sequences["queries"]), sequences["last_query"]
    texts = sorted({text for column in (led, last) for text in pc.unique(column).to_pylist() if text})
    if not texts:
        return None
    numbers = pa.array(["", *texts], pa.string())
    led_numbers, last_numbers = (
        pc.fill_null(pc.index_in(column, numbers), 0).to_numpy().astype(np.int64) for column in (led, last)
    )
    sizes = pc.list_value_length(sequences["item_ids"]).to_numpy()
    numbers_of_events = np.zeros(int(sizes.sum()), dtype=np.int64)
    # A history without a query has NULL instead of a list.
    numbers_of_events[np.repeat(sequences["queries"].is_valid().to_numpy(), sizes)] = led_numbers
    return TypedQueries(["", *texts], numbers_of_events, last_numbers)


@dataclass(frozen=True)
class DataExtent:
    """The size and end of the data that something was fitted on. `refuse_future` uses it to detect a leak."""

    events: int
    last_timestamp: int
    """Epoch microseconds; 0 when there were no events."""


@dataclass(frozen=True)
class Interactions:
    """Histories of n sequences with m events in total. The events of a sequence are in time order."""

    keys: list[str]
    """Length n: user_key, or 'session:…' for an anonymous session."""
    known: Flags
    """Length n: whether the sequence belongs to a known user."""
    offsets: Integers
    """Length n + 1: sequence i holds the events offsets[i]:offsets[i + 1]."""
    items: Integers
    """Length m: index into the catalog."""
    types: Integers
    """Length m: index into CHOSEN_TYPES."""
    times: Integers
    """Length m: epoch microseconds."""
    queries: TypedQueries | None = None
    """Search queries; None where no user typed any."""
    attributes: list[str | None] | None = None
    """Length n: each user's attributes as a JSON object; None where no user has any."""

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def lengths(self) -> Integers:
        """Events per sequence."""
        return np.diff(self.offsets)

    @property
    def rows(self) -> Integers:
        """Length m: the sequence of each event."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)

    @property
    def data_extent(self) -> DataExtent:
        """The size and the end of this log."""
        return DataExtent(len(self.items), int(self.times.max()) if len(self.times) else 0)

    def between(self, starts: Integers, stops: Integers) -> "Interactions":
        """Keep the events starts[i] <= position < stops[i] of every sequence i. Positions count from its start."""
        position = np.arange(len(self.items), dtype=np.int64) - self.offsets[self.rows]
        keep = (position >= starts[self.rows]) & (position < stops[self.rows])
        return self.only(keep)

    def before(self, stops: Integers) -> "Interactions":
        """Keep the first stops[i] events of every sequence i."""
        return self.between(np.zeros_like(stops), stops)

    def until(self, timestamp: int) -> "Interactions":
        """Keep the events at or before `timestamp` (epoch microseconds)."""
        kept = self.only(self.times <= timestamp)
        # The time of the last query is not stored, so it may lie after `timestamp`.
        return kept if kept.queries is None else replace(kept, queries=kept.queries.without_last())

    def select(self, chosen: Integers) -> "Interactions":
        """Keep the sequences `chosen`, in that order."""
        lengths = self.lengths[chosen]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        source = np.repeat(self.offsets[chosen] - offsets[:-1], lengths) + np.arange(offsets[-1], dtype=np.int64)
        return Interactions(
            [self.keys[i] for i in chosen],
            self.known[chosen],
            offsets,
            self.items[source],
            self.types[source],
            self.times[source],
            self.queries and self.queries.select(chosen, source),
            self.attributes and [self.attributes[i] for i in chosen],
        )

    def only(self, keep: Flags) -> "Interactions":
        """Keep the events where `keep` (m,) is true."""
        lengths = np.bincount(self.rows[keep], minlength=len(self))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        ends = np.append(keep, True)[np.where(self.lengths > 0, self.offsets[1:] - 1, len(keep))]
        return replace(
            self,
            offsets=offsets,
            items=self.items[keep],
            types=self.types[keep],
            times=self.times[keep],
            queries=self.queries and self.queries.only(keep, ends),
        )

    def in_order(self) -> "Interactions":
        """Return the log with each event's position in its sequence as its time.

        So the lines of a basket get an order, and transitions between them can be counted. The result has no real
        times: its `data_extent` must not be compared with another log's.
        """
        return replace(self, times=np.arange(len(self.items), dtype=np.int64) - self.offsets[self.rows])

    def described(self, attributes: Mapping[str, str | None]) -> "Interactions":
        """Return the log with the attributes of its users, by key. Without any attributes the log is unchanged."""
        own = [attributes.get(key) for key in self.keys]
        return replace(self, attributes=own) if any(own) else self


def from_sequences(sequences: pa.Table, item_ids: list[str]) -> Interactions:
    """Build the arrays from rows of the table `sequences`. Only events of `CHOSEN_TYPES` are kept.

    Raises:
        ValueError: an item of a sequence is not among `item_ids`.
    """
    sequences = sequences.sort_by("sequence_key").combine_chunks()
    events = pa.table(
        {
            "row": pc.list_parent_indices(sequences["item_ids"]),
            "item": pc.index_in(pc.list_flatten(sequences["item_ids"]), pa.array(item_ids, pa.string())),
            "type": pc.index_in(pc.list_flatten(sequences["event_types"]), pa.array(CHOSEN_TYPES)),
            "time": pc.list_flatten(sequences["timestamps"]),
        }
    )
    wanted, queries = events["type"].is_valid().to_numpy(), read_queries(sequences)
    events = events.filter(pc.field("type").is_valid())
    if events["item"].null_count:
        raise ValueError(
            f"{events['item'].null_count} events of sequences name items that are not in the catalog given"
        )
    lengths = np.bincount(events["row"].to_numpy(), minlength=sequences.num_rows)
    return Interactions(
        sequences["sequence_key"].to_pylist(),
        sequences["user_key"].is_valid().to_numpy(),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        events["item"].to_numpy().astype(np.int64),
        events["type"].to_numpy().astype(np.int64),
        events["time"].to_numpy().astype(np.int64),
        queries and queries.only(wanted, np.ones(sequences.num_rows, dtype=np.bool_)),
    )


def step_numbers(log: Interactions) -> Integers:
    """Return (m,) step numbers, counted through the whole log. Events of a sequence at the same time share a step."""
    new = np.diff(log.times, prepend=-1) != 0
    new[log.offsets[:-1][log.lengths > 0]] = True
    return np.asarray(np.cumsum(new) - 1, dtype=np.int64)
