"""Values that shops' files hold, sane and broken, each with what must become of a record that has it."""

import random
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import IntEnum
from typing import Any, Final


class Fate(IntEnum):
    """What must become of a record; of a record's values the largest counts."""

    EVENT = 0
    EITHER = 1
    """An event or a refused record: both are correct."""
    REFUSED = 2
    LATER = 3
    """An event, a refused record, or a record that waits for a later run."""


Choices = tuple[tuple[str, Fate], ...]
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
    ("", Fate.REFUSED),
    ("yesterday", Fate.REFUSED),
    ("now", Fate.REFUSED),
    ("today", Fate.REFUSED),
    ("09:12:33", Fate.REFUSED),
    ("T09:12", Fate.REFUSED),
    ("2026-11-20 24:00:00", Fate.REFUSED),
    ("2026-13-45 09:00:00", Fate.REFUSED),
    ("2026-02-30", Fate.REFUSED),
    ("0000-00-00 00:00:00", Fate.REFUSED),
    ("0001-01-01T00:00:00Z", Fate.REFUSED),
    ("1970-01-01T00:00:00Z", Fate.REFUSED),
    ("-0044-03-15", Fate.REFUSED),
    ("+12026-11-20", Fate.REFUSED),
    ("294247-01-10T04:00:54Z", Fate.REFUSED),
    ("9999-12-31T23:59:59Z", Fate.REFUSED),
    ("99999999999999999999", Fate.REFUSED),
    ("20/11/2026 9:00", Fate.REFUSED),
    ("2026-11-20T09:00:00 Mars/Olympus", Fate.REFUSED),
    ("2026-11-20T09:00:00+19:30", Fate.REFUSED),
    ("2026-11-20T09:00:00 America/New_York", Fate.EITHER),
    ("2026-11-20T09:00:00 CET", Fate.EITHER),
    ("2026-11-20T09:00:60Z", Fate.EITHER),
    ("2026-11", Fate.REFUSED),
    ("2026", Fate.REFUSED),
    ("20261120", Fate.REFUSED),
    ("1795165200000", Fate.REFUSED),
    (" 2026-11-20T12:00:00Z ", Fate.EITHER),
    ("2026-11-20T00:30:00+14:00", Fate.EITHER),
    ("2026-11-20T23:30:00-12:00", Fate.LATER),
    ("2026-11-21T00:10:00Z", Fate.LATER),
    ("2026-11-21T23:10:00Z", Fate.LATER),
    ("2026-12-24T00:10:00Z", Fate.LATER),
)
KINDS: Final[Choices] = (
    ("hover", Fate.REFUSED),
    ("", Fate.REFUSED),
    ("view;purchase", Fate.REFUSED),
    ("VIEW\u0000", Fate.EITHER),
    ("\u00a0view", Fate.EITHER),
    ("v\u0131ew", Fate.REFUSED),
    ("  View ", Fate.EVENT),
    ("PURCHASE", Fate.EVENT),
)
ITEMS: Final[Choices] = (
    ("", Fate.REFUSED),
    ("NULL", Fate.REFUSED),
    ("nan", Fate.REFUSED),
    ("N/A", Fate.REFUSED),
    ("   ", Fate.REFUSED),
    ("\u00a0", Fate.EITHER),
    ("\u200b", Fate.EITHER),
    ("undefined", Fate.EITHER),
    ("(not set)", Fate.EITHER),
    ("5863.0", Fate.EVENT),
    ("18446744073709551616", Fate.EVENT),
    *((text, Fate.EVENT) for text in TROUBLESOME),
)
USERS: Final[Choices] = (
    *((text, Fate.EVENT) for text in ("", "NULL", "nan", "undefined", "0", "-1", "(not set)", "\u3000", "ann ", "ann")),
    *((text, Fate.EVENT) for text in TROUBLESOME),
)
NUMBERS: Final[Choices] = (
    ("cheap", Fate.REFUSED),
    ("-3", Fate.REFUSED),
    ("1e999", Fate.REFUSED),
    ("9" * 400, Fate.REFUSED),
    ("12,50", Fate.REFUSED),
    ("1.234.567", Fate.REFUSED),
    ("7d", Fate.REFUSED),
    ("0x10", Fate.REFUSED),
    ("NaN", Fate.EITHER),
    ("Infinity", Fate.REFUSED),
    ("-Infinity", Fate.REFUSED),
    ("1_000", Fate.REFUSED),
    ("١٢", Fate.EITHER),
    ("½", Fate.EITHER),
    ("1 000", Fate.EITHER),
    ("$9.99", Fate.EVENT),
    ("1,250.00", Fate.EVENT),
    ("", Fate.EVENT),
    ("null", Fate.EVENT),
    ("+5", Fate.EVENT),
    ("5.", Fate.EVENT),
    ("1e2", Fate.EVENT),
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
    fate: Fate
    ds: date
    """Its day, where it is an event by its own time."""
    copies: int = 1
    erased: bool = False
    """Whether its user was erased before the delivery."""

    def worse(self, fate: Fate) -> "Record":
        """Take note of a fault of its form."""
        self.fate = max(self.fate, fate)
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
    fate = Fate.EVENT
    if draw.random() < broken:
        for name in draw.sample(list(ODD), draw.choice((1, 1, 1, 2))):
            values[name], worst = draw.choice(ODD[name])
            fate = max(fate, worst)
    erased = draw.random() < ERASED_SHARE
    if erased:
        values["who"] = ERASED
    return Record(mark, values, fate, day, erased=erased)
