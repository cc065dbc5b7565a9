"""Compares the A/B arms of a shop, and logs the report to MLflow."""

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
"""Rate -> the column of events that it counts. A rate is the mean of the users' own rates per impression, so that users
with many impressions do not count more."""
_MIN_USERS: Final = 2
"""Least number of users of an arm: a bootstrap needs two."""


@dataclass(frozen=True)
class ArmReport:
    """The rates of the arms and their differences."""

    arms: pd.DataFrame
    """One row for each arm: users, impressions, clicks, purchases, and each rate with its 95 % interval."""
    differences: pd.DataFrame
    """One row for each pair of arms and rate: second minus first, its 95 % interval, and the p-value."""
    left_out: int
    """Users who were shown more than one arm."""

    def text(self) -> str:
        """Return both tables as text."""
        parts = [self.arms.to_string(index=False, float_format="%.4f")]
        parts += [self.differences.to_string(index=False, float_format="%.4f")] if len(self.differences) else []
        return "\n\n".join([*parts, f"{self.left_out} users were shown more than one arm, and are left out."])


def report_arms(settings: Settings, key: RunKey, days: int, horizon_days: int) -> ArmReport:
    """Compare the arms in the days before the run's day, and log tables, text and rates as an MLflow run.

    Raises:
        ValueError: no impression has an arm, or an arm has fewer than two users.
    """
    lake = Lake.open(settings, key.source)
    rows = arm_events(lake, key.ds, days, horizon_days).to_pandas()
    report = compare_arms(rows)
    tags = {"source": key.source, "ds": key.ds.isoformat(), "snapshot.events": str(lake.snapshot_id("events"))}
    with mlflow.start_run(experiment_id=experiment_id(settings, key), run_name=f"arms {key.ds}", tags=tags):
        mlflow.log_params({"days": days, "horizon_days": horizon_days})
        mlflow.log_table(report.arms, "arms/arms.json")
        mlflow.log_table(report.differences, "arms/differences.json")
        mlflow.log_text(report.text(), "arms/report.txt")
        mlflow.log_metrics(
            {f"{row['arm']}.{rate}": row[rate] for row in report.arms.to_dict("records") for rate in RATES}
        )
    return report


def compare_arms(rows: pd.DataFrame) -> ArmReport:
    """Return the report of rows of `arm_events`. Raises ValueError where an arm has fewer than two users."""
    kept = rows[rows["arms"] == 1]
    names = sorted(set(kept["arm"]), key=lambda name: (name != CONTROL, name))
    groups = {name: kept[kept["arm"] == name] for name in names}
    small = [name for name, group in groups.items() if len(group) < _MIN_USERS]
    if small or not names:
        raise ValueError(
            f"arm {small[0] if small else '(none)'} has fewer than {_MIN_USERS} users of its own: take more days"
        )
    arms = pd.DataFrame([_arm(name, group) for name, group in groups.items()])
    pairs = [_pair(groups, first, second, rate) for first, second in combinations(names, 2) for rate in RATES]
    return ArmReport(arms, pd.DataFrame(pairs), len(rows) - len(kept))


def _arm(name: str, group: pd.DataFrame) -> dict[str, Any]:
    rates = _rates(group)
    low, high = mean_intervals(np.stack(list(rates.values())))
    row: dict[str, Any] = {"arm": name, "users": len(group)}
    row |= {column: int(group[column].sum()) for column in ("impressions", *RATES.values())}
    for index, (rate, values) in enumerate(rates.items()):
        row |= {rate: float(values.mean()), f"{rate}_low": float(low[index]), f"{rate}_high": float(high[index])}
    return row


def _pair(groups: dict[str, pd.DataFrame], first: str, second: str, rate: str) -> dict[str, Any]:
    difference = compare_groups(_rates(groups[first])[rate], _rates(groups[second])[rate])
    row: dict[str, Any] = {"rate": rate, "of": second, "less": first, "difference": difference.mean}
    return row | {"low": difference.low, "high": difference.high, "p": difference.p}


def _rates(group: pd.DataFrame) -> dict[str, Any]:
    return {rate: (group[column] / group["impressions"]).to_numpy(np.float64) for rate, column in RATES.items()}
