"""Resolves paths and URIs to a file system and a path on it."""

from collections.abc import Sequence
from urllib.parse import unquote

from pyarrow import fs


def file_location(file: str) -> tuple[fs.FileSystem, str]:
    """Return the file system and the path on it. Local `file:` URIs are unescaped, because Spark escapes them."""
    if file.startswith("file:"):
        return fs.LocalFileSystem(), unquote("/" + file.removeprefix("file:").lstrip("/"))
    system, path = fs.FileSystem.from_uri(file) if "://" in file else (fs.LocalFileSystem(), file)
    return system, path


def table_location(files: Sequence[str]) -> tuple[fs.FileSystem, list[str]]:
    """Return the file system of a table's files (at least one) and their paths on it."""
    system, first = file_location(files[0])
    if isinstance(system, fs.LocalFileSystem):
        return system, [file_location(file)[1] for file in files]
    # Opened only once, because opening an object store queries its region.
    root = files[0].removesuffix(first)
    return system, [file.removeprefix(root) for file in files]
