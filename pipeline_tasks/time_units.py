"""Spans of time in microseconds, as all moments of a log are counted."""

from typing import Final

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
SESSION_GAP: Final = 30 * MINUTE
"""Half an hour without an event ends a session; it is also how long an impression may wait for its click, and how far a
query may lie before what it led to."""
