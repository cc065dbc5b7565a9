"""Holds the A/B arms of a shop beside one another, and keeps the report in MLflow."""

from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import mlflow
import numpy as np
import pandas as pd

from pipeline_tasks.config.business_rules import CONTROL
from pipeline_tasks.config.settings import Settings
from pipeline_tasks.evaluation.arm_comparison import compare_groups
from pipeline_tasks.evaluation.intervals import mean_intervals
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.maintenance.arm_events import arm_events
from pipeline_tasks.registry.tracking import experiment_id
from pipeline_tasks.run_key import RunKey

RATES: Final = {"click_rate": "clicks", "purchase_rate": "purchases"}
"""Of impressions that led to one; the mean of users' own rates: who looks at much does not count more."""
_LEAST: Final = 2
"""Users of an arm: of one alone nothing can be drawn again."""


@dataclass(frozen=True)
class ArmReport:
    """What the arms came to."""

    arms: pd.DataFrame
    """One row an arm: users, impressions, clicks, purchases, and each rate with its 95 % interval."""
    differences: pd.DataFrame
    """One row a pair of arms and rate: the second's less the first's, its 95 % interval, and p."""
    left_out: int
    """Users who were shown more than one arm."""

    def text(self) -> str:
        """Return both tables, for people."""
        parts = [self.arms.to_string(index=False, float_format="%.4f")]
        parts += [self.differences.to_string(index=False, float_format="%.4f")] if len(self.differences) else []
        return "\n\n".join([*parts, f"{self.left_out} users were shown more than one arm, and are in none."])


def report_arms(settings: Settings, night: RunKey, days: int, horizon_days: int) -> ArmReport:
    """Compare the arms of the days before the night, and log tables, text and rates as an MLflow run of the source.

    Raises:
        ValueError: no impression says its arm, or an arm has fewer than two users.
    """
    lake = Lake.open(settings, night.source)
    rows = arm_events(lake, night.ds, days, horizon_days).to_pandas()
    report = compare_arms(rows)
    tags = {"source": night.source, "ds": night.ds.isoformat(), "snapshot.events": str(lake.snapshot_id("events"))}
    with mlflow.start_run(experiment_id=experiment_id(settings, night), run_name=f"arms {night.ds}", tags=tags):
        mlflow.log_params({"days": days, "horizon_days": horizon_days})
        mlflow.log_table(report.arms, "arms/arms.json")
        mlflow.log_table(report.differences, "arms/differences.json")
        mlflow.log_text(report.text(), "arms/report.txt")
        mlflow.log_metrics(
            {f"{row['arm']}.{rate}": row[rate] for row in report.arms.to_dict("records") for rate in RATES}
        )
    return report


def compare_arms(rows: pd.DataFrame) -> ArmReport:
    """Return the report of `arm_events`. Raises ValueError where an arm has fewer than two users."""
    kept = rows[rows["arms"] == 1]
    names = sorted(set(kept["arm"]), key=lambda name: (name != CONTROL, name))
    groups = {name: kept[kept["arm"] == name] for name in names}
    small = [name for name, group in groups.items() if len(group) < _LEAST]
    if small or not names:
        raise ValueError(
            f"arm {small[0] if small else '(none)'} has fewer than {_LEAST} users of its own: take more days"
        )
    arms = pd.DataFrame([_arm(name, group) for name, group in groups.items()])
    pairs = [_pair(groups, first, second, rate) for first, second in combinations(names, 2) for rate in RATES]
    return ArmReport(arms, pd.DataFrame(pairs), len(rows) - len(kept))


def _arm(name: str, group: pd.DataFrame) -> dict[str, Any]:
    rates = _rates(group)
    low, high = mean_intervals(np.stack(list(rates.values())))
    row: dict[str, Any] = {"arm": name, "users": len(group)}
    row |= {column: int(group[column].sum()) for column in ("impressions", *RATES.values())}
    for at, (rate, values) in enumerate(rates.items()):
        row |= {rate: float(values.mean()), f"{rate}_low": float(low[at]), f"{rate}_high": float(high[at])}
    return row


def _pair(groups: dict[str, pd.DataFrame], first: str, second: str, rate: str) -> dict[str, Any]:
    found = compare_groups(_rates(groups[first])[rate], _rates(groups[second])[rate])
    row: dict[str, Any] = {"rate": rate, "of": second, "less": first, "difference": found.mean}
    return row | {"low": found.low, "high": found.high, "p": found.p}


def _rates(group: pd.DataFrame) -> dict[str, Any]:
    return {rate: (group[column] / group["impressions"]).to_numpy(np.float64) for rate, column in RATES.items()}
