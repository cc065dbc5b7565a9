"""Text that comes from a shop's files, made harmless for a terminal and for a spreadsheet."""

import re
from typing import Final

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and line feed, and the marks that turn the direction of text around."""
_FORMULA: Final = re.compile(r"[=+\-@\t\r]")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def for_terminal(text: str) -> str:
    """Return the text with every control character written out, as `\\x1b`: a terminal would obey it."""
    return _CONTROLS.sub(lambda found: ascii(found.group()).strip("'"), text)


def for_spreadsheet(value: object) -> object:
    """Return the value; a text that a spreadsheet would run as a formula gets an apostrophe in front.

    Numbers stay as they are, those in a column of text too.
    """
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value
