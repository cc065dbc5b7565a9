"""Finds unclosed quotes in CSV files with values of several lines.

By the format, a quoted value begins after a separator, and a separator or a line end follows its closing quote.
"""

import io
import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Final

from pipeline_tasks.config.source_toml import FileForm
from pipeline_tasks.lake.file_location import file_location

_BLANKS: Final = " \t"


def has_unclosed_quote(form: FileForm, path: str) -> bool:
    """Return whether a quoted value with a line end is never closed, or is closed within another value."""
    system, inner = file_location(path)
    with system.open_input_stream(inner, compression="detect") as stream:
        # Files of other encodings were rewritten as UTF-8. With `newline=None`, lines end where Spark ends them.
        return _has_unclosed_quote(io.TextIOWrapper(stream, "utf-8", errors="replace", newline=None), form.options)


def separator_of(options: Mapping[str, str]) -> str:
    """Return the separator of the values of a line."""
    return options.get("sep", options.get("delimiter", ",")).replace("\\t", "\t")


def quote_and_escape(options: Mapping[str, str]) -> tuple[str, str]:
    """Return the quote, and the character that escapes a quote within a value, with Spark's defaults."""
    return options.get("quote", '"'), options.get("escape", "\\")


def escaped(quote: str, escape: str) -> str:
    """Return the pattern of an escaped quote, or of an escaped escape character, within a value."""
    return f"{re.escape(escape)}[{re.escape(escape + quote)}]"


def _has_unclosed_quote(lines: Iterable[str], options: Mapping[str, str]) -> bool:
    (quote, escape), separator = quote_and_escape(options), separator_of(options)
    if not quote:
        return False
    escapes = re.compile(escaped(quote, escape)) if escape else None
    inside = crossed = False
    for line in lines:
        if quote not in line:
            continue
        bare = escapes.sub("", line) if escapes and escape in line else line
        parts = bare.rstrip("\r\n").split(quote)
        for place, (before, after) in enumerate(pairwise(parts)):
            if not inside:
                # A quote within an unquoted value is a plain character.
                inside = before.rstrip(" ").endswith(separator) or (place == 0 and not before.strip(" "))
                continue
            is_last = place == len(parts) - 2 and not after.strip(_BLANKS)
            if crossed and not (is_last or after.lstrip(" ").startswith(separator)):
                return True
            inside = crossed = False
        crossed = inside
    return inside
