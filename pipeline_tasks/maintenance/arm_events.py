"""Counts impressions of each A/B arm, and the clicks and purchases that followed them, by user."""

from datetime import date, timedelta
from typing import Final

import duckdb
import pyarrow as pa

from pipeline_tasks.lake.file_location import file_location
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.time_units import DAY, SESSION_GAP

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
