"""Learns the column names of CSV and JSON files from their first lines, on the driver: no Spark job."""

import csv
import json
from collections.abc import Sequence
from typing import Final

from pyarrow import fs

from pipeline_tasks.intake.source_contract import FileForm
from pipeline_tasks.intake.sources import SourceError

_SAMPLE_BYTES: Final = 1 << 20


def field_names(form: FileForm, paths: Sequence[str]) -> list[tuple[list[str], str | None, list[str]]]:
    """Return (column names, header line or None, files) for every group of files with the same columns.

    Raises:
        SourceError: a file is damaged, empty, or says no names.
    """
    if form.fields:
        return [(form.fields, None, list(paths))]
    if form.format == "json":
        return [(_json_names(paths), None, list(paths))]
    if form.options.get("header", "true") != "true":
        raise SourceError(f"{paths[0]} has no header line: name its columns with fields = [...] in the source's TOML")
    groups: dict[str, list[str]] = {}
    for path in paths:
        lines = _sample(form, path)
        if lines:
            groups.setdefault(lines[0], []).append(path)
    if not groups:
        raise SourceError(f"{', '.join(paths)}: empty, not even a header line: deliver it again")
    return [(_csv_names(form, header), header, members) for header, members in groups.items()]


def _csv_names(form: FileForm, header: str) -> list[str]:
    quote, separator = form.options.get("quote", '"'), form.options.get("sep", ",")
    return [name.strip() for name in next(csv.reader([header], delimiter=separator, quotechar=quote))]


def _json_names(paths: Sequence[str]) -> list[str]:
    names: dict[str, None] = {}
    for line in _sample(FileForm(format="json"), paths[-1]):
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict):
            names.update(dict.fromkeys(record))
    if not names:
        raise SourceError(f"{paths[-1]} shows no JSON object in its first lines: is it one JSON object a line?")
    return list(names)


def _sample(form: FileForm, path: str) -> list[str]:
    system, inner = fs.FileSystem.from_uri(path) if "://" in path else (fs.LocalFileSystem(), path)
    try:
        with system.open_input_stream(inner, compression="detect") as stream:
            start = stream.read(_SAMPLE_BYTES)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error}. It is cut off or damaged: deliver it again") from error
    text = start.decode(form.options.get("encoding", "utf-8"), errors="replace").removeprefix("\ufeff")
    lines: list[str] = text.splitlines()
    return lines
