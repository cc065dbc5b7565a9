"""Search queries of users, aligned with the events of a log. They stay text until a text encoder reads them."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


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
