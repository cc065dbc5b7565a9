"""Days of a shop's own clock: the only place that derives a day from a moment, or a moment from a day.

A zone is None where the shop counts days in UTC. Tables keep UTC timestamps whatever the zone.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from pipeline_tasks.time_units import SECOND


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Return the names of the zones that both Python and Java know, such as America/Los_Angeles."""
    return frozenset(name for name in available_timezones() if "/" in name or name == "UTC")


def today(zone: str | None) -> date:
    """Return the day that it is now."""
    return day_at(datetime.now(UTC), zone)


def day_at(moment: datetime, zone: str | None) -> date:
    """Return the day of an aware moment."""
    return moment.astimezone(_zone(zone)).date()


def start_of(day: date, zone: str | None) -> int:
    """Return the first moment of the day in epoch microseconds: the change itself where clocks skip midnight."""
    return int(datetime.combine(day, time(), _zone(zone)).astimezone(UTC).timestamp()) * SECOND


def end_of(day: date, zone: str | None) -> int:
    """Return the first moment of the next day in epoch microseconds."""
    return start_of(day + timedelta(days=1), zone)


def day_sql(ts: str, zone: str | None) -> str:
    """Return the Spark SQL of the day of the timestamp `ts`, an expression itself."""
    return f"to_date({_local_sql(ts, zone)})"


def hour_sql(ts: str, zone: str | None) -> str:
    """Return the Spark SQL of the hour of the day, 0 to 23, of the timestamp `ts`."""
    return f"hour({_local_sql(ts, zone)})"


def _local_sql(ts: str, zone: str | None) -> str:
    if zone is None:
        return ts
    # Near the ends of what a timestamp can hold, from_utc_timestamp overflows and ends the job.
    return f"CASE WHEN year({ts}) BETWEEN 1 AND 9999 THEN from_utc_timestamp({ts}, '{zone}') ELSE {ts} END"


def _zone(zone: str | None) -> ZoneInfo:
    return ZoneInfo(zone or "UTC")
