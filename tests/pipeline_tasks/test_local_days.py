"""Days in the shop's time zone."""

from datetime import UTC, date, datetime, timedelta

import pytest

from pipeline_tasks.times import HOUR, SECOND, day_at, end_of_day, start_of_day, today

LOS_ANGELES, CAIRO, HAVANA = "America/Los_Angeles", "Africa/Cairo", "America/Havana"


@pytest.mark.parametrize(
    ("zone", "day", "starts", "hours"),
    [
        (None, date(2026, 11, 20), "2026-11-20T00:00", 24),
        (LOS_ANGELES, date(2026, 11, 20), "2026-11-20T08:00", 24),
        (LOS_ANGELES, date(2026, 3, 8), "2026-03-08T08:00", 23),
        (LOS_ANGELES, date(2026, 11, 1), "2026-11-01T07:00", 25),
        ("Asia/Kolkata", date(2026, 11, 20), "2026-11-19T18:30", 24),
        # Midnight does not exist.
        (CAIRO, date(2026, 4, 24), "2026-04-23T22:00", 23),
        # Clocks go back from midnight to 23:00 of the day before.
        (CAIRO, date(2026, 10, 29), "2026-10-28T21:00", 25),
        # Midnight comes twice.
        (HAVANA, date(2026, 11, 1), "2026-11-01T04:00", 25),
    ],
)
def test_a_day_starts_and_ends_by_its_zone(zone: str | None, day: date, starts: str, hours: int) -> None:
    start = datetime.fromisoformat(starts).replace(tzinfo=UTC)
    assert start_of_day(day, zone) == round(start.timestamp()) * SECOND
    assert end_of_day(day, zone) - start_of_day(day, zone) == hours * HOUR
    assert day_at(start, zone) == day
    assert day_at(start - timedelta(microseconds=1), zone) == day - timedelta(days=1)


def test_today_is_a_day_later_at_one_end_of_the_earth() -> None:
    assert today("Pacific/Kiritimati") - today("Pacific/Pago_Pago") in (timedelta(days=1), timedelta(days=2))
