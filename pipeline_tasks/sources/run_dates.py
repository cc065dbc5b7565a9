"""Run keys of a source, and the check of their dates in the source's time zone."""

from datetime import date, datetime, timedelta

from pipeline_tasks.config.settings import Settings, settings
from pipeline_tasks.local_days import day_at, today
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.sources import load_source


class FutureDateError(ValueError):
    """The date of a run is later than today."""


def yesterday_run_key(source: str, at: datetime) -> RunKey:
    """Return the run key of the day before `at`, an aware datetime. `source` is a preset or a registered source."""
    return RunKey(source, day_at(at, load_source(source).timezone) - timedelta(days=1))


def reject_future_day(run_key: RunKey, zone: str | None, config: Settings | None = None) -> None:
    """Raise FutureDateError where the date is later than today in the zone, unless the settings allow it."""
    config = config or settings()
    now = today(zone)
    if run_key.ds > now and not config.allow_future_dates:
        raise FutureDateError(
            f"{run_key.ds} of {run_key.source} is later than today, {now} ({zone or 'UTC'}): that day has no events "
            f"yet, and runs of the days before it would no longer be the latest. Correct the date, or set "
            f"NIGHTSHELF_ALLOW_FUTURE_DATES=true if the shop is a simulation"
        )


def checked_run_key(source: str, ds: date) -> RunKey:
    """Return the run key of a preset or registered source. Raises FutureDateError as `reject_future_day` does."""
    run_key = RunKey(source, ds)
    reject_future_day(run_key, load_source(source).timezone)
    return run_key
