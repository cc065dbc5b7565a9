"""What the numbers of a log can be at most: cleaning refuses what is beyond, and the gates hold it to the same."""

from typing import Final

MOST_RAW_CHARACTERS: Final = 10_000
"""Of a quarantined record's text: more would be a copy of the landed file."""
HIGHEST_PRICE: Final = 1e9
"""Of any source; each sets its own at most so high (`rules.highest_price`)."""
HIGHEST_QUANTITY: Final = 1e9
LONGEST_DWELL: Final = 86_400
"""Seconds: a day."""
HIGHEST_RATING: Final = 1e9
"""In size: scales differ, and some go below 0; what is larger is no rating."""
MOST_WAITING_DAYS: Final = 7
"""Days that an event may lie after its file's day; each source sets its own at most so high (`rules.waiting_days`)."""
