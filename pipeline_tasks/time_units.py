"""Durations in microseconds, the unit of all times of a log."""

from typing import Final

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
SESSION_GAP: Final = 30 * MINUTE
"""A session ends after half an hour without an event. It is also the longest time from an impression to its click, and
from a query to the event that it led to."""
