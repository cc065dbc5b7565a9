"""Finds the files of a source, locally or in an object store, and detects changes by a fingerprint."""

import fnmatch
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Final

from pyarrow import fs

from pipeline_tasks.lake.files import file_location, table_location
from pipeline_tasks.sources.sources import SourceError

_HIDDEN: Final = ("_", ".")
_DAY: Final = re.compile(r"(?=(\d{4}-\d{2}-\d{2}))")


@dataclass(frozen=True)
class SourceFile:
    """The current state of one file."""

    path: str
    """Path or URI for Spark."""
    size: int
    changed: str
    """Time of the last change."""


def full_pattern(folder: str, path: str) -> str:
    """Return the pattern of the files of one kind: `path` below `folder`, or `folder` itself if it is a file."""
    if "://" in path or Path(path).is_absolute():
        return path
    if "{" not in path and folder.endswith(PurePosixPath(path).suffix or "/") and _is_file(folder):
        return folder
    return f"{folder.rstrip('/')}/{path}"


def day_pattern(pattern: str) -> str:
    """Return a regular expression for paths that fit `pattern`; its first group is the day."""
    head, _, tail = pattern.partition("{ds}")
    if head == pattern:
        return "($.)"
    # The dot also matches line ends, because a name may contain one.
    day = "([0-9]{4}-[0-9]{2}-[0-9]{2})"
    return f"(?s){_expression(_last_part(head))}{day}{_expression(tail.replace('{ds}', '*'))}$"


def _expression(pattern: str) -> str:
    """Return a regular expression for a part of a pattern."""
    either = [_bare_expression(_literal_brackets(pattern))]
    if "[" in pattern:
        either.append(_bare_expression(pattern))
    return f"(?:{'|'.join(either)})"


def _bare_expression(pattern: str) -> str:
    return fnmatch.translate(pattern).removeprefix("(?s:").removesuffix(r")\Z")


def _literal_brackets(pattern: str) -> str:
    return pattern.replace("[", "[[]")


def _fits(path: str, pattern: str) -> bool:
    """Return whether a path fits a pattern, with its brackets read literally or as a set of characters."""
    if fnmatch.fnmatchcase(path, _literal_brackets(pattern)):
        return True
    return "[" in pattern and fnmatch.fnmatchcase(path, pattern)


def find_files(pattern: str, day: date | None = None) -> list[SourceFile]:
    """Return the files that fit `pattern` with `day` for `{ds}`, sorted by path; the list may be empty."""
    wanted = pattern.replace("{ds}", day.isoformat()) if day else pattern
    system, path = file_location(wanted)
    if not _has_wildcard(path):
        return _present([system.get_file_info(path)], wanted)
    return _present([e for e in _below(system, _fixed_part(path)) if _fits(e.path, path)], wanted)


def find_days(pattern: str, days: Sequence[date]) -> dict[date, list[SourceFile]]:
    """Return the result of `find_files` for each of the days (at least one). Every folder is listed only once.

    With one listing per day, a folder of 6,000 files took 3.8 s in a window of 30 days, and 42 s in one of 300.
    """
    if "{ds}" not in pattern:
        return dict.fromkeys(days, find_files(pattern))
    named = {day.isoformat(): day for day in days}
    wanted = [pattern.replace("{ds}", name) for name in named]
    system, paths = table_location(wanted)
    if not _has_wildcard(paths[0]):
        entries = zip(days, system.get_file_info(paths), strict=True)
        return {day: _present([entry], pattern) for day, entry in entries}
    fitting: dict[date, list[fs.FileInfo]] = {day: [] for day in days}
    patterns = dict(zip(named, paths, strict=True))
    for folder in dict.fromkeys(map(_fixed_part, paths)):
        for entry in _below(system, folder):
            # Tests only the days in the path. Testing all days would take minutes in a window of years.
            for name in patterns.keys() & _DAY.findall(entry.path):
                if _fits(entry.path, patterns[name]):
                    fitting[named[name]].append(entry)
    return {day: _present(entries, pattern) for day, entries in fitting.items()}


def fingerprint(files: Iterable[SourceFile], *facts: str) -> str:
    """Return a hash that changes when a file or one of the `facts` changes."""
    text = "\n".join([*(f"{file.path} {file.size} {file.changed}" for file in files), *facts])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_file(path: str) -> bool:
    system, inner = file_location(path)
    return bool(system.get_file_info(inner).type == fs.FileType.File)


def _has_wildcard(path: str) -> bool:
    return any(mark in path for mark in "*?[")


def _fixed_part(path: str) -> str:
    """Return the folder that contains all files that can fit."""
    return path[: min(path.index(mark) for mark in "*?[" if mark in path)].rpartition("/")[0]


def _below(system: fs.FileSystem, folder: str) -> list[fs.FileInfo]:
    entries: list[fs.FileInfo] = system.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
    return entries


def _present(entries: Iterable[fs.FileInfo], pattern: str) -> list[SourceFile]:
    """Return the entries that are files, sorted by path, without hidden ones such as `_SUCCESS`, which Spark ignores.

    Raises:
        SourceError: the pattern itself names a hidden file.
    """
    scheme = f"{pattern.partition('://')[0]}://" if "://" in pattern else ""
    found = sorted((e for e in entries if e.type == fs.FileType.File), key=lambda e: str(e.path))
    hidden = [e.path for e in found if _is_hidden(e.base_name)]
    if hidden and _last_part(pattern).startswith(_HIDDEN):
        raise SourceError(
            f"{hidden[0]}: Spark reads no file whose name begins with {_last_part(hidden[0])[0]!r}: rename it"
        )
    files = [e for e in found if not _is_hidden(e.base_name)]
    return [SourceFile(scheme + e.path, int(e.size), str(e.mtime_ns)) for e in files]


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or (name.startswith("_") and "=" not in name) or name.endswith("._COPYING_")


def _last_part(path: str) -> str:
    return path.rpartition("/")[2]
