"""What heads learn from beside histories, of what has happened so far and, to be judged by, later."""

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from pipeline_tasks.behavior.impressions import Impressions
from pipeline_tasks.behavior.ratings import Opinions


@dataclass(frozen=True)
class HeadEvidence:
    """None where no head asks for it."""

    impressions: Impressions | None = None
    opinions: Opinions | None = None

    @property
    def arrays(self) -> list[npt.NDArray[Any]]:
        """All of it, to be compared by."""
        return [
            array for part in (self.impressions, self.opinions) if part is not None for array in vars(part).values()
        ]


NO_EVIDENCE = HeadEvidence()
