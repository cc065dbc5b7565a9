"""Reads the column names of CSV and JSON files from their first lines, on the driver and without a Spark job."""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from typing import Final

from pipeline_tasks.config.source_toml import FileForm
from pipeline_tasks.lake.files import file_location
from pipeline_tasks.sources.sources import SourceError
from pipeline_tasks.sources.text_encodings import require_encoding, require_text

_SAMPLE_BYTES: Final = 1 << 20
_LINE_END: Final = re.compile("\r\n|\n|\r")
"""Line ends of Spark. `str.splitlines` also splits at U+2028 and U+0085, which JSON allows within a text."""
_EXCEL_SEPARATOR: Final = re.compile(r"\"?sep=(.)\"?", re.IGNORECASE)
_BEFORE_VALUE: Final = re.compile(r"[\s,]*(?=\S)")


def field_names(form: FileForm, paths: Sequence[str]) -> list[tuple[list[str], str | None, list[str]]]:
    """Return (column names, header line or None, files) for every group of files with the same columns.

    Raises:
        SourceError: a file is damaged, empty, not a text, or has no names.
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
            f"{path}: its header {lines[0]!r} is not {form.options.get('encoding', 'UTF-8')}: set its encoding with "
            f'options = {{ encoding = "windows-1252" }} in the source\'s TOML'
        )
    if lines and (found := _EXCEL_SEPARATOR.fullmatch(lines[0])):
        raise SourceError(
            f"{path}: its first line {lines[0]!r} is no header, but names the separator for Excel: remove it from the "
            f'file, or set options = {{ sep = "{found.group(1)}" }} and name the columns with fields = [...] in the '
            f"source's TOML, and leave it out with where"
        )
    return lines[0] if lines else None


def _csv_names(form: FileForm, header: str) -> list[str]:
    """Return the names, repeated ones with a number. To Spark, `Price` and `price` are the same name."""
    names: list[str] = []
    seen: dict[str, int] = {}
    for name in (part.strip() for part in _split(form, header)):
        seen[name.lower()] = count = seen.get(name.lower(), 0) + 1
        names.append(name if count == 1 else f"{name}_{count}")
    return names


def _split(form: FileForm, header: str) -> list[str]:
    quote, separator = form.options.get("quote", '"'), form.options.get("sep", ",").replace("\\t", "\t")
    # Unlike Spark, Python's reader takes neither a separator of several characters nor an empty quote.
    if len(separator) > 1 or not quote:
        return header.split(separator)
    return next(csv.reader([header], delimiter=separator, quotechar=quote))


def _json_names(paths: Sequence[str]) -> list[str]:
    names: dict[str, None] = {}
    for path in paths:
        names.update(dict.fromkeys(_keys(_sample(FileForm(format="json"), path))))
    if not names:
        raise SourceError(
            f"{paths[-1]} shows no JSON object in its first lines: deliver one JSON object a line, or set options = "
            '{ multiLine = "true" } in the source\'s TOML where an object goes over several lines'
        )
    colliding = [name for name in names if sum(name.lower() == other.lower() for other in names) > 1]
    if colliding:
        raise SourceError(
            f"{paths[-1]} has the fields {' and '.join(colliding)}, and Spark ignores case: name "
            f"those to read with fields = [...] in the source's TOML"
        )
    return list(names)


def _keys(lines: Sequence[str]) -> list[str]:
    keys: dict[str, None] = {}
    for line in lines:
        for record in _objects(line):
            keys.update(dict.fromkeys(record))
    return list(keys)


def _objects(line: str) -> Iterator[dict[str, object]]:
    """Yield the objects of a line, and those of arrays in it, up to the first text that is no JSON."""
    decoder, place = json.JSONDecoder(), 0
    while found := _BEFORE_VALUE.match(line, place):
        try:
            value, place = decoder.raw_decode(line, found.end())
        except (json.JSONDecodeError, RecursionError):
            return
        yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict))


def _sample(form: FileForm, path: str) -> list[str]:
    encoding = require_encoding(form) or "utf-8"
    system, inner = file_location(path)
    try:
        with system.open_input_stream(inner, compression="detect") as stream:
            start = stream.read(_SAMPLE_BYTES)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error}. It is cut off or damaged: deliver it again") from error
    require_text(path, start)
    text = start.decode(encoding, errors="replace").removeprefix("\ufeff")
    return _LINE_END.split(text) if text else []
