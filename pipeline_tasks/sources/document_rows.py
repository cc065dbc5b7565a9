"""Rewrites documents as lines: JSON documents as one object per line, and Excel workbooks as CSV."""

import csv
import json
import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import IO, Final

from pipeline_tasks.sources.sources import SourceError

_CHUNK: Final = 1 << 20
_LONGEST_OBJECT: Final = 64 << 20
"""Characters."""
_BETWEEN: Final = re.compile(r"[\s,\[\]]*")
"""Text between two objects of one or several arrays."""
_LINE_END: Final = re.compile(r"[\r\n]+")


def is_document(start: str, is_cut: bool) -> bool:
    """Return whether a file that begins with `start` must be rewritten; `is_cut` if the file is longer than `start`."""
    text = start.lstrip("\ufeff \t\r\n")
    first, line_end, _ = text.partition("\n")
    if is_cut and not line_end:
        return True
    if first.strip() == "{":
        return True
    return first.startswith("[") and bool(line_end) and not _is_json(first)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return False
    return True


def object_lines(stream: IO[str], path: str) -> Iterator[str]:
    """Yield the objects of a document, each on one line with its original text.

    Raises:
        SourceError: the file has other content, or ends within an object or an array; the message names the line.
    """
    text, line, open_arrays = stream.read(_CHUNK).removeprefix("\ufeff"), 1, 0
    place = 0
    while True:
        end = _between(text, place)
        line += text.count("\n", place, end)
        open_arrays += text.count("[", place, end) - text.count("]", place, end)
        end, fault = _object_end(text, place := end)
        if fault is None:
            yield text[place:end].replace("\n", " ").replace("\r", " ")
            line, place = line + text.count("\n", place, end), end
            continue
        # The object may only be cut off at the end of the chunk.
        more = stream.read(max(_CHUNK, len(text) - place)) if len(text) - place < _LONGEST_OBJECT else ""
        if not more and (place < len(text) or open_arrays):
            raise SourceError(
                f"{path} is not valid JSON from line {line} on ({fault}, at {text[place : place + 40]!r}): it is cut "
                f"off or damaged; deliver it again, if possible as one object per line (jq -c '.[]')"
            )
        if not more:
            return
        text, place = text[place:] + more, 0


def _between(text: str, place: int) -> int:
    found = _BETWEEN.match(text, place)
    return found.end() if found else place


def _object_end(text: str, place: int) -> tuple[int, str | None]:
    """Return the end of the object at `place` and None, or `place` and the reason why there is no object."""
    if place == len(text):
        return place, "an array is not closed"
    if text[place] != "{":
        return place, "this is not an object"
    try:
        return json.JSONDecoder().raw_decode(text, place)[1], None
    except json.JSONDecodeError as error:
        return place, error.msg
    except RecursionError:
        return place, "too many nested brackets"


def write_csv(workbook: IO[bytes], out: IO[str]) -> None:
    """Write one line per row of the sheet; whole numbers without a decimal point, times in ISO format.

    Raises:
        zipfile.BadZipFile, KeyError, ValueError: the file is not a workbook.
    """
    # Imported here, because only a shop that delivers workbooks needs it.
    from openpyxl import load_workbook  # type: ignore[import-untyped]

    sheet = load_workbook(workbook, read_only=True, data_only=True).worksheets[0]
    writer = csv.writer(out, lineterminator="\n")
    width = 0
    for row in sheet.iter_rows(values_only=True):
        values = _without_end([_text(value) for value in row])
        if values:
            # Padded to the width of the header, because a sheet ends each row at its last cell.
            width = width or len(values)
            writer.writerow(values + [""] * (width - len(values)))


def _without_end(values: list[str]) -> list[str]:
    while values and not values[-1]:
        values.pop()
    return values


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return _LINE_END.sub(" ", str(value))
