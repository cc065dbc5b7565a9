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
    shoppers: int | None = None
    seconds: int | None = None
    commit: str = ""
    date: str = ""
    hardware: str = ""
