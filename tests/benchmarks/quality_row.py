"""One line of the quality page."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A scorer in a task of a set: the mean over its seeds."""

    set: str
    task: str
    scorer: str
    ndcg: float
    by_seed: list[float]
    recall: float | None = None
    coverage: float | None = None
    interval: tuple[float, float] | None = None
    users: int | None = None
    seconds: int | None = None
    commit: str = ""
    date: str = ""
    hardware: str = ""
    ours_minus: float | None = None
    """Ours less this scorer, the mean over users, each of both the mean over its seeds."""
    p: float | None = None
    """Of the paired sign-flip test of it; None where one of the two kept no values by user."""
