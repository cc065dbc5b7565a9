"""Units of time, and days in the shop's time zone. Only this module converts times to days and days to times.

A zone is None for a shop that counts days in UTC. The timestamps of tables are UTC in every zone.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
SESSION_GAP: Final = 30 * MINUTE
"""A session ends after half an hour without an event. It is also the longest time from an impression to its click, and
from a query to the event that it led to."""


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Return the names of the zones that both Python and Java know, such as America/Los_Angeles."""
    return frozenset(name for name in available_timezones() if "/" in name or name == "UTC")


def today(zone: str | None) -> date:
    """Return the current day in the zone."""
    return day_at(datetime.now(UTC), zone)


def day_at(instant: datetime, zone: str | None) -> date:
    """Return the day of an aware datetime in the zone."""
    return instant.astimezone(_zone(zone)).date()


def start_of_day(day: date, zone: str | None) -> int:
    """Return the start of the day in epoch microseconds. Where clocks skip midnight, it is the time of the change."""
    return int(datetime.combine(day, time(), _zone(zone)).astimezone(UTC).timestamp()) * SECOND


def end_of_day(day: date, zone: str | None) -> int:
    """Return the start of the next day in epoch microseconds."""
    return start_of_day(day + timedelta(days=1), zone)


def day_sql(ts: str, zone: str | None) -> str:
    """Return a Spark SQL expression for the day of the timestamp expression `ts`."""
    return f"to_date({_local_sql(ts, zone)})"


def hour_sql(ts: str, zone: str | None) -> str:
    """Return a Spark SQL expression for the hour of the day, 0 to 23, of the timestamp expression `ts`."""
    return f"hour({_local_sql(ts, zone)})"


def _local_sql(ts: str, zone: str | None) -> str:
    if zone is None:
        return ts
    # from_utc_timestamp overflows near the smallest and largest timestamp, which would end the job.
    return f"CASE WHEN year({ts}) BETWEEN 1 AND 9999 THEN from_utc_timestamp({ts}, '{zone}') ELSE {ts} END"


def _zone(zone: str | None) -> ZoneInfo:
    return ZoneInfo(zone or "UTC")
