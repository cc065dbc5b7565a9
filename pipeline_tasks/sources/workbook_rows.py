"""Reads the first sheet of an Excel workbook (.xlsx) as CSV."""

import csv
import re
from datetime import date, datetime
from typing import IO, Final

_LINE_END: Final = re.compile(r"[\r\n]+")


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
