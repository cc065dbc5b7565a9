"""Which nights a source can have, by its own clock."""

from datetime import date, datetime, timedelta

from pipeline_tasks.intake.sources import load_source
from pipeline_tasks.local_days import day_at, today
from pipeline_tasks.night import Night
from pipeline_tasks.settings import Settings, settings


class FutureNightError(ValueError):
    """The night's day has not begun."""


def last_night(source: str, at: datetime) -> Night:
    """Return the night of the day before `at`, an aware moment, for a source that is known by this name."""
    return Night(source, day_at(at, load_source(source).timezone) - timedelta(days=1))


def require_begun(night: Night, zone: str | None, config: Settings | None = None) -> None:
    """Raise FutureNightError where the night's day is later than today in the zone, unless the settings allow it."""
    config = config or settings()
    now = today(zone)
    if night.ds > now and not config.allow_future_dates:
        raise FutureNightError(
            f"{night.ds} of {night.source} is later than today, {now} ({zone or 'UTC'}): a day that has not begun has "
            f"no events, and the nights up to it would count as older. Correct the date, or set "
            f"NIGHTSHELF_ALLOW_FUTURE_DATES=true where the shop is a simulation"
        )


def begun_night(source: str, ds: date) -> Night:
    """Return the night of a source that is known by this name; raises FutureNightError as `require_begun` does."""
    night = Night(source, ds)
    require_begun(night, load_source(source).timezone)
    return night
