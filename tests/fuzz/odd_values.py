"""Values that shops' files hold, sane and broken, each with what must become of a record that has it."""

import random
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import IntEnum
from typing import Any, Final


class Expected(IntEnum):
    """What must become of a record; of a record's values the largest counts."""

    EVENT = 0
    EITHER = 1
    """An event or a refused record: both are correct."""
    REFUSED = 2
    LATER = 3
    """An event, a refused record, or a record that waits for a later run."""


Choices = tuple[tuple[str, Expected], ...]
"""Values, and what must become of a record that has one."""
ERASED: Final = "erased-7@shop.example"
"""Key of the user who was erased before every delivery."""
ERASED_SHARE: Final = 0.03
COLUMNS: Final = ("mark", "time", "kind", "item", "who", "visit", "price", "units", "words")
"""Columns of every file; `mark` is unique to a record, and mapped to `arm`."""
DAY: Final = date(2026, 11, 20)
DAYS: Final = (DAY - timedelta(days=2), DAY - timedelta(days=1), DAY)

TROUBLESOME: Final = (
    "'; DROP TABLE events; --",
    '{"a": [1, {"b": null}]}',
    "=HYPERLINK(1)",
    "<script>alert(1)</script>",
    "${jndi:ldap://x}",
    "%s%n %20",
    "`x`",
    "..\\..\\x",
    "🦊‍👩",
    "line\u2028sep\u0085arator",
    "\u202eabc",
    "a\u0301\u0301\u0301",
    "\u0001\u001b[31m",
    "x" * 3_000,
    "NULLA",
    "a:b=c&d",
    "#",
    "1e400",
    "0x1F",
    "١٢٣",
)
"""Texts that are ids or words like any other, whatever they look like."""

TIMES: Final[Choices] = (
    ("", Expected.REFUSED),
    ("yesterday", Expected.REFUSED),
    ("now", Expected.REFUSED),
    ("today", Expected.REFUSED),
    ("09:12:33", Expected.REFUSED),
    ("T09:12", Expected.REFUSED),
    ("2026-11-20 24:00:00", Expected.REFUSED),
    ("2026-13-45 09:00:00", Expected.REFUSED),
    ("2026-02-30", Expected.REFUSED),
    ("0000-00-00 00:00:00", Expected.REFUSED),
    ("0001-01-01T00:00:00Z", Expected.REFUSED),
    ("1970-01-01T00:00:00Z", Expected.REFUSED),
    ("-0044-03-15", Expected.REFUSED),
    ("+12026-11-20", Expected.REFUSED),
    ("294247-01-10T04:00:54Z", Expected.REFUSED),
    ("9999-12-31T23:59:59Z", Expected.REFUSED),
    ("99999999999999999999", Expected.REFUSED),
    ("20/11/2026 9:00", Expected.REFUSED),
    ("2026-11-20T09:00:00 Mars/Olympus", Expected.REFUSED),
    ("2026-11-20T09:00:00+19:30", Expected.REFUSED),
    ("2026-11-20T09:00:00 America/New_York", Expected.EITHER),
    ("2026-11-20T09:00:00 CET", Expected.EITHER),
    ("2026-11-20T09:00:60Z", Expected.EITHER),
    ("2026-11", Expected.REFUSED),
    ("2026", Expected.REFUSED),
    ("20261120", Expected.REFUSED),
    ("1795165200000", Expected.REFUSED),
    (" 2026-11-20T12:00:00Z ", Expected.EITHER),
    ("2026-11-20T00:30:00+14:00", Expected.EITHER),
    ("2026-11-20T23:30:00-12:00", Expected.LATER),
    ("2026-11-21T00:10:00Z", Expected.LATER),
    ("2026-11-21T23:10:00Z", Expected.LATER),
    ("2026-12-24T00:10:00Z", Expected.LATER),
)
KINDS: Final[Choices] = (
    ("hover", Expected.REFUSED),
    ("", Expected.REFUSED),
    ("view;purchase", Expected.REFUSED),
    ("VIEW\u0000", Expected.EITHER),
    ("\u00a0view", Expected.EITHER),
    ("v\u0131ew", Expected.REFUSED),
    ("  View ", Expected.EVENT),
    ("PURCHASE", Expected.EVENT),
)
ITEMS: Final[Choices] = (
    ("", Expected.REFUSED),
    ("NULL", Expected.REFUSED),
    ("nan", Expected.REFUSED),
    ("N/A", Expected.REFUSED),
    ("   ", Expected.REFUSED),
    ("\u00a0", Expected.EITHER),
    ("\u200b", Expected.EITHER),
    ("undefined", Expected.EITHER),
    ("(not set)", Expected.EITHER),
    ("5863.0", Expected.EVENT),
    ("18446744073709551616", Expected.EVENT),
    *((text, Expected.EVENT) for text in TROUBLESOME),
)
USERS: Final[Choices] = (
    *(
        (text, Expected.EVENT)
        for text in ("", "NULL", "nan", "undefined", "0", "-1", "(not set)", "\u3000", "ann ", "ann")
    ),
    *((text, Expected.EVENT) for text in TROUBLESOME),
)
NUMBERS: Final[Choices] = (
    ("cheap", Expected.REFUSED),
    ("-3", Expected.REFUSED),
    ("1e999", Expected.REFUSED),
    ("9" * 400, Expected.REFUSED),
    ("12,50", Expected.REFUSED),
    ("1.234.567", Expected.REFUSED),
    ("7d", Expected.REFUSED),
    ("0x10", Expected.REFUSED),
    ("NaN", Expected.EITHER),
    ("Infinity", Expected.REFUSED),
    ("-Infinity", Expected.REFUSED),
    ("1_000", Expected.REFUSED),
    ("١٢", Expected.EITHER),
    ("½", Expected.EITHER),
    ("1 000", Expected.EITHER),
    ("$9.99", Expected.EVENT),
    ("1,250.00", Expected.EVENT),
    ("", Expected.EVENT),
    ("null", Expected.EVENT),
    ("+5", Expected.EVENT),
    ("5.", Expected.EVENT),
    ("1e2", Expected.EVENT),
)
ODD: Final[dict[str, Choices]] = {
    "time": TIMES,
    "kind": KINDS,
    "item": ITEMS,
    "who": USERS,
    "visit": USERS,
    "price": NUMBERS,
    "words": USERS,
}


@dataclass
class Record:
    """One record as the shop means it, and what must become of it."""

    mark: str
    values: dict[str, Any]
    expected: Expected
    ds: date
    """Its day, where it is an event by its own time."""
    copies: int = 1
    erased: bool = False
    """Whether its user was erased before the delivery."""

    def worse(self, expected: Expected) -> "Record":
        """Take note of a fault of its form."""
        self.expected = max(self.expected, expected)
        return self


def sane_time(draw: random.Random, day: date, slot: int) -> str:
    """Return a time of the day in one of the forms that are understood, another for every slot."""
    at = datetime(day.year, day.month, day.day, 3) + timedelta(seconds=2 * slot)
    forms = (
        f"{at:%Y-%m-%dT%H:%M:%SZ}",
        f"{at:%Y-%m-%d %H:%M:%S}",
        f"{at + timedelta(hours=2):%Y-%m-%dT%H:%M:%S}+02:00",
        f"{at:%Y-%m-%dT%H:%M:%S}.123456Z",
        f"{at - timedelta(hours=3):%Y-%m-%dT%H:%M:%S}-03:00",
    )
    return draw.choice(forms)


def draw_record(draw: random.Random, mark: str, arrived: date, slot: int, broken: float) -> Record:
    """Return a record of a delivery's day or the day before it; a share `broken` has odd values."""
    day = arrived - timedelta(days=draw.random() < 0.1)
    values: dict[str, Any] = {
        "mark": mark,
        "time": sane_time(draw, day, slot),
        "kind": draw.choice(("view", "cart", "purchase", "click")),
        "item": f"P{draw.randrange(40):02d}",
        "who": f"u{draw.randrange(60):02d}",
        "visit": f"s{slot // 5}",
        "price": f"{draw.randrange(1, 90)}.{draw.randrange(100):02d}",
        "units": str(draw.randrange(1, 4)),
        "words": draw.choice(("", "red mug", "Teekanne")),
    }
    expected = Expected.EVENT
    if draw.random() < broken:
        for name in draw.sample(list(ODD), draw.choice((1, 1, 1, 2))):
            values[name], worst = draw.choice(ODD[name])
            expected = max(expected, worst)
    erased = draw.random() < ERASED_SHARE
    if erased:
        values["who"] = ERASED
    return Record(mark, values, expected, day, erased=erased)
