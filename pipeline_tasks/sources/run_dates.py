"""Which nights a source can have, by its own clock."""

from datetime import date, datetime, timedelta

from pipeline_tasks.config.settings import Settings, settings
from pipeline_tasks.local_days import day_at, today
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.sources import load_source


class FutureNightError(ValueError):
    """The night's day has not begun."""


def last_night(source: str, at: datetime) -> RunKey:
    """Return the night of the day before `at`, an aware moment, for a source that is known by this name."""
    return RunKey(source, day_at(at, load_source(source).timezone) - timedelta(days=1))


def require_begun(night: RunKey, zone: str | None, config: Settings | None = None) -> None:
    """Raise FutureNightError where the night's day is later than today in the zone, unless the settings allow it."""
    config = config or settings()
    now = today(zone)
    if night.ds > now and not config.allow_future_dates:
        raise FutureNightError(
            f"{night.ds} of {night.source} is later than today, {now} ({zone or 'UTC'}): a day that has not begun has "
            f"no events, and the nights up to it would count as older. Correct the date, or set "
            f"NIGHTSHELF_ALLOW_FUTURE_DATES=true where the shop is a simulation"
        )


def begun_night(source: str, ds: date) -> RunKey:
    """Return the night of a source that is known by this name; raises FutureNightError as `require_begun` does."""
    night = RunKey(source, ds)
    require_begun(night, load_source(source).timezone)
    return night
