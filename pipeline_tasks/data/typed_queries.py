"""What users typed, beside the events of a log: words stay words until a text encoder has read them."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class TypedQueries:
    """Queries of n histories with m events in all."""

    texts: list[str]
    """Distinct; the first is '', which stands for none."""
    led: npt.NDArray[np.int64]
    """(m,) index into `texts`: what was typed before each event, and led to it."""
    last: npt.NDArray[np.int64]
    """(n,) index into `texts`: what was typed after the last event, and has led to none yet."""

    def select(self, chosen: npt.NDArray[np.int64], events: npt.NDArray[np.int64]) -> "TypedQueries":
        """Keep the histories `chosen` with their `events`, in that order."""
        return replace(self, led=self.led[events], last=self.last[chosen])

    def only(self, keep: npt.NDArray[np.bool_], ends: npt.NDArray[np.bool_]) -> "TypedQueries":
        """Keep the events flagged (m,); what was typed last is known only where a history's end is kept (n,)."""
        return replace(self, led=self.led[keep], last=np.where(ends, self.last, 0))

    def forget_last(self) -> "TypedQueries":
        """Return what led to events alone."""
        return replace(self, last=np.zeros_like(self.last))

    @property
    def words(self) -> list[str]:
        """What was typed before each of the m events, '' where nothing was."""
        return [self.texts[number] for number in self.led]


def read_queries(sequences: pa.Table) -> TypedQueries | None:
    """Return the queries of rows of the table `sequences`, of all their events; None where nobody typed anything."""
    if not {"queries", "last_query"} <= set(sequences.column_names):
        return None
    led, last = pc.list_flatten(sequences["queries"]), sequences["last_query"]
    texts = sorted({text for column in (led, last) for text in pc.unique(column).to_pylist() if text})
    if not texts:
        return None
    numbers = pa.array(["", *texts], pa.string())
    led_by, typed_last = (
        pc.fill_null(pc.index_in(column, numbers), 0).to_numpy().astype(np.int64) for column in (led, last)
    )
    sizes = pc.list_value_length(sequences["item_ids"]).to_numpy()
    every = np.zeros(int(sizes.sum()), dtype=np.int64)
    # A history without a query has NULL in place of a list.
    every[np.repeat(sequences["queries"].is_valid().to_numpy(), sizes)] = led_by
    return TypedQueries(["", *texts], every, typed_last)
