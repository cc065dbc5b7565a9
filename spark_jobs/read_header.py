"""Learns the column names of CSV and JSON files from their first lines, on the driver: no Spark job."""

import csv
import json
import re
from collections.abc import Sequence
from typing import Final

from pipeline_tasks.intake.source_contract import FileForm
from pipeline_tasks.intake.sources import SourceError
from pipeline_tasks.storage.file_location import file_location
from spark_jobs.read_encoding import require_encoding

_SAMPLE_BYTES: Final = 1 << 20
_LINE_END: Final = re.compile("\r\n|\n|\r")
"""What Spark ends a line at. `str.splitlines` also does at U+2028 and U+0085, which JSON may hold within a text."""
_NO_TEXT: Final = {
    b"PK\x03\x04": "is a zip archive (or a workbook): unpack it, and deliver what lies in it",
    b"\x1f\x8b": "is compressed by gzip, which its name does not say: let its name end in .gz",
    b"\xff\xfe": "is UTF-16: save it as UTF-8",
    b"\xfe\xff": "is UTF-16: save it as UTF-8",
}
"""First bytes of what cannot be read as lines, and the remedy."""


def field_names(form: FileForm, paths: Sequence[str]) -> list[tuple[list[str], str | None, list[str]]]:
    """Return (column names, header line or None, files) for every group of files with the same columns.

    Raises:
        SourceError: a file is damaged, empty, no text, or says no names.
    """
    if form.fields:
        return [(form.fields, None, list(paths))]
    if form.format == "json":
        return [(_json_names(paths), None, list(paths))]
    if form.options.get("header", "true") != "true":
        raise SourceError(f"{paths[0]} has no header line: name its columns with fields = [...] in the source's TOML")
    groups: dict[str, list[str]] = {}
    for path in paths:
        if header := _header(form, path):
            groups.setdefault(header, []).append(path)
    if not groups:
        raise SourceError(f"{', '.join(paths)}: empty, not even a header line: deliver it again")
    return [(_csv_names(form, header), header, members) for header, members in groups.items()]


def _header(form: FileForm, path: str) -> str | None:
    lines = _sample(form, path)
    if lines and "\ufffd" in lines[0]:
        raise SourceError(
            f"{path}: its header {lines[0]!r} is not {form.options.get('encoding', 'UTF-8')}: say its encoding with "
            f'options = {{ encoding = "windows-1252" }} in the source\'s TOML'
        )
    return lines[0] if lines else None


def _csv_names(form: FileForm, header: str) -> list[str]:
    """Return the names, a repeated one with its number: Spark does not tell `Price` from `price`."""
    names: list[str] = []
    seen: dict[str, int] = {}
    for name in (part.strip() for part in _split(form, header)):
        seen[name.lower()] = count = seen.get(name.lower(), 0) + 1
        names.append(name if count == 1 else f"{name}_{count}")
    return names


def _split(form: FileForm, header: str) -> list[str]:
    quote, separator = form.options.get("quote", '"'), form.options.get("sep", ",").replace("\\t", "\t")
    # Spark takes a separator of several characters, and no quote at all; Python's reader neither.
    if len(separator) > 1 or not quote:
        return header.split(separator)
    return next(csv.reader([header], delimiter=separator, quotechar=quote))


def _json_names(paths: Sequence[str]) -> list[str]:
    names: dict[str, None] = {}
    for path in paths:
        names.update(dict.fromkeys(_keys(_sample(FileForm(format="json"), path))))
    if not names:
        raise SourceError(
            f"{paths[-1]} shows no JSON object in its first lines: is it one JSON object a line? Deliver an array, or "
            f"objects on several lines, as one object a line (jq -c '.[]')"
        )
    twins = [name for name in names if sum(name.lower() == other.lower() for other in names) > 1]
    if twins:
        raise SourceError(
            f"{paths[-1]} has the fields {' and '.join(twins)}, and Spark does not tell upper from lower case: say "
            f"with fields = [...] in the source's TOML which to read"
        )
    return list(names)


def _keys(lines: Sequence[str]) -> list[str]:
    keys: dict[str, None] = {}
    for line in lines:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict):
            keys.update(dict.fromkeys(record))
    return list(keys)


def _sample(form: FileForm, path: str) -> list[str]:
    encoding = require_encoding(form) or "utf-8"
    system, inner = file_location(path)
    try:
        with system.open_input_stream(inner, compression="detect") as stream:
            start = stream.read(_SAMPLE_BYTES)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error}. It is cut off or damaged: deliver it again") from error
    for mark, remedy in _NO_TEXT.items():
        if start.startswith(mark):
            raise SourceError(f"{path} {remedy}")
    text = start.decode(encoding, errors="replace").removeprefix("\ufeff")
    return _LINE_END.split(text) if text else []
