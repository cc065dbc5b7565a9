"""Largest allowed values of a log. Cleaning refuses larger ones, and the gates check the same bounds."""

from typing import Final

MOST_RAW_CHARACTERS: Final = 10_000
"""Largest kept text of a quarantined record; more would copy the landed file."""
HIGHEST_PRICE: Final = 1e9
"""Upper bound of `rules.highest_price` of any source."""
HIGHEST_QUANTITY: Final = 1e9
LONGEST_DWELL: Final = 86_400
"""A day, in seconds."""
HIGHEST_RATING: Final = 1e9
"""Largest absolute value of a rating; scales differ, and some have negative values."""
MOST_WAITING_DAYS: Final = 7
"""Upper bound of `rules.waiting_days` of any source: the days that an event may be later than its file's day."""
