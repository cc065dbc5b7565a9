"""Finds quotes in CSV files with values of several lines that are not closed as the format has it.

A quoted value begins after a separator, and its closing quote is followed by a separator or a line end.
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
    """Whether a value of the file goes over a line end and is never closed, or closed within another value."""
    system, inner = file_location(path)
    with system.open_input_stream(inner, compression="detect") as stream:
        # Files of other encodings than UTF-8 were rewritten. A line ends where Spark ends it.
        return _runs_on(io.TextIOWrapper(stream, "utf-8", errors="replace", newline=None), form.options)


def separator_of(options: Mapping[str, str]) -> str:
    """Return what separates the values of a line."""
    return options.get("sep", options.get("delimiter", ",")).replace("\\t", "\t")


def quote_and_escape(options: Mapping[str, str]) -> tuple[str, str]:
    """Return the quote, and what makes a quote within a value one of its characters; Spark's own where none is set."""
    return options.get("quote", '"'), options.get("escape", "\\")


def escaped(quote: str, escape: str) -> str:
    """Return the pattern of two characters that are one of a value: of a quote, or of what escapes it."""
    return f"{re.escape(escape)}[{re.escape(escape + quote)}]"


def _runs_on(lines: Iterable[str], options: Mapping[str, str]) -> bool:
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
                # A quote within an unquoted value is one of its characters.
                inside = before.rstrip(" ").endswith(separator) or (place == 0 and not before.strip(" "))
                continue
            is_last = place == len(parts) - 2 and not after.strip(_BLANKS)
            if crossed and not (is_last or after.lstrip(" ").startswith(separator)):
                return True
            inside = crossed = False
        crossed = inside
    return inside
