"""What users gave the items that they rated, as numbers, and which of them say that an item is liked.

Asked with yes or no, as click-through models ask MovieLens: Zhou et al. 2018 (Deep Interest Network, KDD, section 6.1)
label the ratings from 4 on as positive and the rest as negative. Scales differ from shop to shop, so the value that a
log is cut at is chosen from the log (`choose_liked`), and comes to 4 there too.
"""

from dataclasses import dataclass

import numpy as np

from pipeline_tasks.data.interactions import Flags, Floats, Integers


@dataclass(frozen=True)
class BinaryLabels:
    """n items rated, liked or not."""

    rows: Integers
    """(n,) the sequence of a log."""
    items: Integers
    """(n,) index into the catalog."""
    times: Integers
    """(n,) epoch microseconds."""
    liked: Flags
    """(n,)."""

    def only(self, kept: Flags | Integers) -> "BinaryLabels":
        """Return some of them."""
        return BinaryLabels(self.rows[kept], self.items[kept], self.times[kept], self.liked[kept])

    def until(self, timestamp: int) -> "BinaryLabels":
        """Return those at or before `timestamp`."""
        return self.only(self.times <= timestamp)


@dataclass(frozen=True)
class Ratings:
    """n items rated."""

    rows: Integers
    """(n,) the sequence of a log."""
    items: Integers
    """(n,) index into the catalog."""
    times: Integers
    """(n,) epoch microseconds."""
    values: Floats
    """(n,) as the shop counts."""

    @classmethod
    def none(cls) -> "Ratings":
        """Return no rating."""
        nothing = np.zeros(0, np.int64)
        return cls(nothing, nothing, nothing, np.zeros(0, np.float32))

    def opinions(self, liked: float) -> BinaryLabels:
        """Return which say that the item is liked: those of `liked` or more."""
        return BinaryLabels(self.rows, self.items, self.times, self.values >= np.float32(liked))

    def choose_liked(self, until: int) -> float | None:
        """Return the value that the ratings at or before `until` are cut at, None where there are none.

        The one whose share of yes is nearest a half: neither answer is rare, and a yes or no then tells most. 100,000
        ratings of MovieLens are cut at 4 (55 % say yes; at 5 it would be 21 %). Not at the lowest value, where all say
        yes, as long as there is another.
        """
        values, counts = np.unique(self.values[self.times <= until], return_counts=True)
        if not len(values):
            return None
        shares = counts[::-1].cumsum()[::-1] / counts.sum()
        first = min(1, len(values) - 1)
        return float(values[first:][np.argmin(np.abs(shares[first:] - 0.5))])
