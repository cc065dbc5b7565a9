"""Random draws without state: every draw is a hash of the seed, a name and columns of the row.

The content of a row therefore depends on the row alone, and the same code runs on one core or on many.
"""

from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F


@dataclass(frozen=True)
class Chance:
    """Random draws of one shop."""

    seed: int

    def number(self, name: str, *of: Column) -> Column:
        """Return a 62-bit number >= 0."""
        return F.shiftrightunsigned(F.xxhash64(F.lit(self.seed), F.lit(name), *of), 2)

    def share(self, name: str, *of: Column) -> Column:
        """Return a double, uniform in [0, 1)."""
        return F.shiftrightunsigned(F.xxhash64(F.lit(self.seed), F.lit(name), *of), 11) / float(1 << 53)

    def below(self, limit: Column | int, name: str, *of: Column) -> Column:
        """Return a whole number, uniform in [0, limit)."""
        return F.floor(self.share(name, *of) * limit).cast("long")

    def happens(self, probability: float, name: str, *of: Column) -> Column:
        """Return true with the probability."""
        return self.share(name, *of) < probability
