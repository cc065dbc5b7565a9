"""What a shop can do about the records that a rule of cleaning refuses."""

from typing import Final

WITHOUT_A_DAY: Final = ("unparsable_time", "impossible_time", "corrupt_record")
"""Rules of records that have no day of their own."""

REMEDIES: Final = {
    "corrupt_record": "correct the file, or its format, options (sep, quote, encoding) and fields in the TOML",
    "unparsable_time": "correct events.columns.ts: to_timestamp(column, 'dd/MM/yyyy HH:mm') reads another form, "
    "timestamp_seconds(…) seconds, timestamp_millis(…) thousandths",
    "impossible_time": "correct events.columns.ts; rules.earliest and rules.late_days set what is possible",
    "unknown_event_type": "map the value in events.columns.event_type, or leave such rows out by events.where",
    "missing_item": "correct events.columns.item_id (items.columns.item_id), or leave such rows out by where",
    "missing_user": "correct users.columns.user_key, or leave such rows out by users.where",
    "unparsable_number": "correct the expression of that column in events.columns",
    "impossible_number": "correct the expression of that column in events.columns; rules.highest_price bounds prices",
    "known_user": "map events.columns.user_key, or take known_user out of rules.on",
    "service_codes": "shorten rules.service_codes, or take service_codes out of rules.on",
    "positive_quantity": "correct events.columns.quantity, or take positive_quantity out of rules.on",
    "positive_price": "correct events.columns.price, or take positive_price out of rules.on",
    "bots": "map a value that stands for nobody to NULL in events.columns.user_key, raise "
    "NIGHTSHELF_CLEANING__BOT_EVENTS_PER_DAY, or take bots out of rules.on",
    "duplicate_item_id": "deliver one record of each item, or correct items.columns.item_id",
    "duplicate_user_key": "deliver one record of each user, or correct users.columns.user_key",
}
"""By rule. Names with a dot are keys of the source's TOML file."""
UNKNOWN: Final = "correct the source's mapping or its files"


def remedy_of(rule: str) -> str:
    """Return what to do about records that the rule refuses."""
    return REMEDIES.get(rule, UNKNOWN)
