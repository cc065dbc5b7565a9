"""Compares the A/B arms of a shop, and logs the report to MLflow."""

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import combinations
from typing import Any, Final

import duckdb
import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_tasks.config.business_rules import CONTROL
from pipeline_tasks.config.settings import Settings
from pipeline_tasks.evaluation.intervals import compare_groups, mean_intervals
from pipeline_tasks.lake.files import file_location
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.registry.tracking import experiment_id
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.times import DAY, SESSION_GAP

_QUERY: Final = """
WITH read AS (
    SELECT user_key, arm, event_type, item_id, ts, ds
    FROM read_parquet(?, hive_partitioning = false, union_by_name = true)
    WHERE user_key IS NOT NULL AND item_id IS NOT NULL
), shown AS (
    SELECT user_key, arm, item_id, ts FROM read
    WHERE event_type = 'impression' AND arm IS NOT NULL AND ds BETWEEN ? AND ?
), clicked AS (
    SELECT user_key, item_id, ts FROM read WHERE event_type IN ('click', 'view')
), bought AS (
    SELECT user_key, item_id, ts FROM read WHERE event_type = 'purchase'
), followed AS (
    SELECT shown.*,
        coalesce(epoch_us(clicked.ts) - epoch_us(shown.ts) <= ?, false) AS is_clicked,
        coalesce(epoch_us(bought.ts) - epoch_us(shown.ts) <= ?, false) AS is_bought
    FROM shown
    ASOF LEFT JOIN clicked ON shown.user_key = clicked.user_key AND shown.item_id = clicked.item_id
        AND shown.ts <= clicked.ts
    ASOF LEFT JOIN bought ON shown.user_key = bought.user_key AND shown.item_id = bought.item_id
        AND shown.ts <= bought.ts
)
SELECT user_key, any_value(arm) AS arm, count(DISTINCT arm) AS arms, count(*) AS impressions,
    count(*) FILTER (is_clicked) AS clicks, count(*) FILTER (is_bought) AS purchases
FROM followed GROUP BY user_key ORDER BY user_key
"""
RATES: Final = {"click_rate": "clicks", "purchase_rate": "purchases"}
"""Rate -> the column of events that it counts. A rate is the mean of the users' own rates per impression, so that users
with many impressions do not count more."""
_MIN_USERS: Final = 2
"""Least number of users of an arm: a bootstrap needs two."""


def arm_events(lake: Lake, last: date, days: int, horizon_days: int) -> pa.Table:
    """Return (user_key, arm, arms, impressions, clicks, purchases), one row for each user with such an impression.

    Args:
        last: the last day of events.
        days: the number of days of impressions. The last of them is `horizon_days` before `last`, so that every
            impression has the same time to lead to a purchase.
        horizon_days: a purchase of the item by the same user counts within this number of days after an impression.
            A click or view counts within half an hour.

    Raises:
        ValueError: the days have no impression with an arm.
    """
    until = last - timedelta(days=horizon_days)
    since = until - timedelta(days=days - 1)
    files = [file_location(file)[1] for file in lake.files("events", (since, last))]
    if files:
        with duckdb.connect() as database:
            database.execute("SET TimeZone = 'UTC'")
            result = database.sql(_QUERY, params=[files, since, until, SESSION_GAP, horizon_days * DAY])
            rows: pa.Table = result.to_arrow_table()
        if rows.num_rows:
            return rows
    raise ValueError(
        f"{lake.source} has no impression with an arm from {since} to {until}: map events.arm in the source's TOML "
        f"(the arm that the user was shown, as in recommendations.arm), or choose more days or a shorter horizon"
    )


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
