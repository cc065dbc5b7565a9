"""Finds the files of a source, locally or in an object store, and tells when one of them changed."""

import fnmatch
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath

from pyarrow import fs


@dataclass(frozen=True)
class SourceFile:
    """One file as it lies there now."""

    path: str
    """As Spark reads it."""
    size: int
    changed: str
    """Time of the last change."""


def full_pattern(folder: str, path: str) -> str:
    """Return where the files of one kind lie: `path` below `folder`, or `folder` itself when that is the very file."""
    if "://" in path or Path(path).is_absolute():
        return path
    if "{" not in path and folder.endswith(PurePosixPath(path).suffix or "/") and _is_file(folder):
        return folder
    return f"{folder.rstrip('/')}/{path}"


def day_pattern(pattern: str) -> str:
    """Return a regular expression whose first group is the day in a path that fits `pattern`."""
    name = pattern.split("{ds}", 1)
    if len(name) == 1:
        return "($.)"
    tail = fnmatch.translate(re.sub(r"\{ds\}", "*", name[1])).removeprefix("(?s:").removesuffix(r")\Z")
    return f"{re.escape(_last_part(name[0]))}([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}){tail}$"


def find_files(pattern: str, day: date | None = None) -> list[SourceFile]:
    """Return the files that fit `pattern`, `{ds}` being `day`, sorted by path; none is no error here."""
    wanted = pattern.replace("{ds}", day.isoformat()) if day else pattern
    system, path = _open(wanted)
    if not any(mark in path for mark in "*?["):
        entry = system.get_file_info(path)
        return [_described(entry, wanted)] if entry.type == fs.FileType.File else []
    fixed = path[: min(path.index(mark) for mark in "*?[" if mark in path)].rpartition("/")[0]
    entries = system.get_file_info(fs.FileSelector(fixed, recursive=True, allow_not_found=True))
    prefix = wanted[: len(wanted) - len(path)]
    fitting = [e for e in entries if e.type == fs.FileType.File and fnmatch.fnmatchcase(e.path, path)]
    return [_described(entry, prefix + entry.path) for entry in sorted(fitting, key=lambda e: str(e.path))]


def fingerprint(files: Iterable[SourceFile], *facts: str) -> str:
    """Return a hash that changes when a file or one of the `facts` changes."""
    text = "\n".join([*(f"{file.path} {file.size} {file.changed}" for file in files), *facts])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _open(path: str) -> tuple[fs.FileSystem, str]:
    if "://" in path:
        system, inner = fs.FileSystem.from_uri(path)
        return system, inner
    return fs.LocalFileSystem(), path


def _is_file(path: str) -> bool:
    system, inner = _open(path)
    return bool(system.get_file_info(inner).type == fs.FileType.File)


def _described(entry: fs.FileInfo, path: str) -> SourceFile:
    return SourceFile(path, int(entry.size), str(entry.mtime_ns))


def _last_part(path: str) -> str:
    return path.rpartition("/")[2]
