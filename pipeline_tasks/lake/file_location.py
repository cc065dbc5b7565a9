"""On which file system a file lies, and where on it: for all that reads files by their path or URI."""

from collections.abc import Sequence
from urllib.parse import unquote

from pyarrow import fs


def file_location(file: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a path or URI, and the path on it. Spark writes local paths as escaped URIs."""
    if file.startswith("file:"):
        return fs.LocalFileSystem(), unquote("/" + file.removeprefix("file:").lstrip("/"))
    system, path = fs.FileSystem.from_uri(file) if "://" in file else (fs.LocalFileSystem(), file)
    return system, path


def table_location(files: Sequence[str]) -> tuple[fs.FileSystem, list[str]]:
    """Return the one file system of a table's files, one or more, and their paths on it."""
    system, first = file_location(files[0])
    if isinstance(system, fs.LocalFileSystem):
        return system, [file_location(file)[1] for file in files]
    # Opened once: an object store's is asked for its region each time.
    root = files[0].removesuffix(first)
    return system, [file.removeprefix(root) for file in files]
