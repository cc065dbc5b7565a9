"""What one scorer reached on one public set, kept as a small file, so that the page can be made from parts."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.evaluation.full_ranking import evaluate_tasks
from pipeline_tasks.evaluation.intervals import mean_interval
from pipeline_tasks.evaluation.metrics import Reals
from pipeline_tasks.evaluation.ranking_task import Goal, Scorer, build_tasks
from pipeline_tasks.training.best_epoch import METRIC
from tests.benchmarks.shopper_values import Values, keep_values
from tests.benchmarks.side_by_side import RESULTS, present_commit

OURS: Final = "two_tower"
BLENDED: Final = "blended"
REFITTED: Final = "two_tower_refitted"
"""Ours where it learned from validation too, as the peers of leave-one-out did and the published models did not."""
_FOLDER: Final = RESULTS / "quality"
_KEPT: Final = (METRIC, "recall@10", "mrr", "coverage@10", "novelty@10", "gini@10")

Figures = dict[str, dict[str, float]]
"""Goal -> metric -> value, with `low` and `high` of NDCG@10 (95 %, over users) and the number of `users`."""


def _hardware() -> str:
    cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":")[1].strip() for line in cpu.splitlines() if line.startswith("model name")]
    return f"{os.cpu_count()} cores of {names[0] if names else 'an unknown processor'}"


@dataclass(frozen=True)
class MeasuredScorer:
    """One fit and its look at test."""

    set: str
    scorer: str
    seed: int
    figures: Figures
    seconds: float
    """Wall time of fitting, choices on validation included."""
    options: dict[str, Any] = field(default_factory=dict)
    commit: str = field(default_factory=present_commit)
    date: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())
    hardware: str = field(default_factory=_hardware)

    @property
    def fit(self) -> str:
        """What its files are called."""
        return f"{self.set}-{self.scorer}-{self.seed}"


def measure(data: RunData, goals: Sequence[Goal], scorer: Scorer) -> tuple[Figures, Values]:
    """Rank the whole catalog for each user, scored once for all tasks."""
    tasks = build_tasks(data.parts, "test", goals, len(data.catalog))
    figures: Figures = {}
    values: dict[str, Reals] = {}
    for goal, result in zip(goals, evaluate_tasks(scorer, tasks), strict=True):
        values[goal] = own = result.per_user[METRIC]
        low, high = mean_interval(own)
        kept = {name: round(float(result.overall[name]), 6) for name in _KEPT}
        figures[goal] = kept | {"low": round(low, 6), "high": round(high, 6), "users": len(own)}
    return figures, values


def keep(measured: MeasuredScorer, values: Values) -> None:
    """Write the files, in place of earlier ones of the same set, scorer and seed."""
    _FOLDER.mkdir(exist_ok=True)
    (_FOLDER / f"{measured.fit}.json").write_text(json.dumps(asdict(measured), indent=1) + "\n")
    keep_values(measured.fit, measured.commit, values)


def read_kept() -> list[MeasuredScorer]:
    """Read all files, but of each set and scorer only those of the commit that was measured last."""
    found = [MeasuredScorer(**json.loads(path.read_text())) for path in sorted(_FOLDER.glob("*.json"))]
    latest: dict[tuple[str, str], MeasuredScorer] = {}
    for one in found:
        best = latest.setdefault((one.set, one.scorer), one)
        latest[one.set, one.scorer] = max(best, one, key=lambda other: (other.date, len(_same_commit(found, other))))
    return [one for one in found if one.commit == latest[one.set, one.scorer].commit]


def _same_commit(found: Sequence[MeasuredScorer], one: MeasuredScorer) -> list[MeasuredScorer]:
    return [other for other in found if (other.set, other.scorer, other.commit) == (one.set, one.scorer, one.commit)]
