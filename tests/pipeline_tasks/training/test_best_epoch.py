"""When a training ends before its last epoch, and which epoch it keeps."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, cast

import pytest

from pipeline_tasks.training import best_epoch
from pipeline_tasks.training.best_epoch import BestEpoch

RISING = [0.01 * epoch for epoch in range(1, 17)]
LEVEL = [0.01] * 16


@dataclass
class StandIn:
    """In place of a recommender, whose scores are given."""

    model: None = None

    def with_weights(self, **_: float) -> "StandIn":
        return self


def trained(monkeypatch: pytest.MonkeyPatch, sums: Sequence[float], towers: Sequence[float]) -> tuple[int, int]:
    """Return the number of epochs that are trained of those given, and the epoch that is kept."""
    measured = zip(sums, towers, strict=True)
    monkeypatch.setattr(best_epoch, "tune_item_to_item_weight", lambda recommender, task: (0.0, *next(measured)))
    best = BestEpoch(cast(Any, None), lambda figures, epoch: None)
    recommender = cast(Any, StandIn())
    epochs = next(epoch for epoch in count(1) if not best.after(1.0, recommender) or epoch == len(sums))
    return epochs, best.epoch


@pytest.mark.parametrize(
    ("sums", "towers", "epochs", "kept"),
    [
        (RISING, RISING, 16, 16),
        (LEVEL, LEVEL, 3, 1),
        # The sum may fall behind while the towers learn, and lead again afterwards.
        ([0.05, 0.04, 0.04, 0.04, *RISING[5:]], RISING[:15], 15, 15),
        # A catalog of 11,924 items: the fifth epoch is the best of 16, and the towers alone improve to the last.
        ([*RISING[:5], *LEVEL[:11]], RISING, 9, 5),
    ],
)
def test_a_training_ends_when_nothing_that_is_served_improves(
    monkeypatch: pytest.MonkeyPatch, sums: list[float], towers: list[float], epochs: int, kept: int
) -> None:
    assert trained(monkeypatch, sums, towers) == (epochs, kept)
