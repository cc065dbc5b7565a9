"""Labels that task heads learn from, in addition to the histories: items shown, and items liked or disliked."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline_tasks.data.interactions import Integers
from pipeline_tasks.data.ratings import BinaryLabels


@dataclass(frozen=True)
class Impressions:
    """n items shown to users. Histories do not hold them, because users did not choose them."""

    rows: Integers
    """(n,) index of the sequence in a log."""
    items: Integers
    """(n,) index into the catalog."""
    times: Integers
    """(n,) epoch microseconds."""

    @classmethod
    def none(cls) -> "Impressions":
        """Return an empty set of impressions."""
        return cls(*(np.zeros(0, np.int64) for _ in range(3)))

    def until(self, timestamp: int) -> "Impressions":
        """Return the impressions at or before `timestamp`."""
        kept = self.times <= timestamp
        return Impressions(self.rows[kept], self.items[kept], self.times[kept])


@dataclass(frozen=True)
class TaskLabels:
    """Labels up to the present; an evaluation also reads later ones. A part is None where no head needs it."""

    impressions: Impressions | None = None
    ratings: BinaryLabels | None = None

    @property
    def arrays(self) -> list[npt.NDArray[Any]]:
        """All arrays, to compare two sets of labels."""
        return [array for part in (self.impressions, self.ratings) if part is not None for array in vars(part).values()]


NO_TASK_LABELS = TaskLabels()
