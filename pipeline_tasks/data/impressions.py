"""What users were shown: not in their histories, as they did not choose it."""

from dataclasses import dataclass

import numpy as np

from pipeline_tasks.data.interactions import Integers


@dataclass(frozen=True)
class Impressions:
    """n items shown."""

    rows: Integers
    """(n,) the sequence of a log."""
    items: Integers
    """(n,) index into the catalog."""
    times: Integers
    """(n,) epoch microseconds."""

    @classmethod
    def none(cls) -> "Impressions":
        """Return no impression."""
        return cls(*(np.zeros(0, np.int64) for _ in range(3)))

    def until(self, timestamp: int) -> "Impressions":
        """Return those at or before `timestamp`."""
        kept = self.times <= timestamp
        return Impressions(self.rows[kept], self.items[kept], self.times[kept])
