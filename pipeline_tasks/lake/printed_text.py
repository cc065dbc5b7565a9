"""Escapes text from a shop's files for terminals and spreadsheets."""

import re
from typing import Final

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters except tab and line feed, and marks that reverse the direction of text."""
_FORMULA: Final = re.compile(r"[=+\-@\t\r]")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def for_terminal(text: str) -> str:
    """Return the text with every control character escaped, as `\\x1b`, because a terminal would obey it."""
    return _CONTROLS.sub(lambda found: ascii(found.group()).strip("'"), text)


def for_spreadsheet(value: object) -> object:
    """Return the value, with an apostrophe in front of text that a spreadsheet would run as a formula.

    Numbers are unchanged, also in a text column.
    """
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value
