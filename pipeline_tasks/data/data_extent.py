"""What heads learn from beside histories, of what has happened so far and, to be judged by, later."""

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from pipeline_tasks.data.impressions import Impressions
from pipeline_tasks.data.ratings import BinaryLabels


@dataclass(frozen=True)
class TaskLabels:
    """None where no head asks for it."""

    impressions: Impressions | None = None
    opinions: BinaryLabels | None = None

    @property
    def arrays(self) -> list[npt.NDArray[Any]]:
        """All of it, to be compared by."""
        return [
            array for part in (self.impressions, self.opinions) if part is not None for array in vars(part).values()
        ]


NO_TASK_LABELS = TaskLabels()
