"""Finds a text in the files below a folder, also in compressed Parquet and Avro files."""

import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def files_with(folder: Path, text: str) -> list[str]:
    """Return the files that hold the text in a cell, in the bounds of a manifest, or as plain bytes."""
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and _holds(path, text.encode())
    )


def _holds(path: Path, text: bytes) -> bool:
    if text in path.read_bytes():
        return True
    if path.suffix == ".avro":
        return text in _avro_blocks(path)
    return path.suffix == ".parquet" and any(_cells_hold(column, text) for column in pq.read_table(path).columns)


def _cells_hold(column: pa.ChunkedArray, text: bytes) -> bool:
    while pa.types.is_list(column.type):
        column = pa.chunked_array([column.combine_chunks().flatten()])
    return bool(pa.types.is_string(column.type) and pc.any(pc.match_substring(column, text.decode())).as_py())


def _avro_blocks(path: Path) -> bytes:
    """Return the content of an Avro file's blocks. A block begins with two numbers and ends with the sync marker."""
    raw = path.read_bytes()
    blocks = raw.split(raw[-16:])[1:]
    return b"".join(zlib.decompress(_behind_numbers(block, 2), -15) for block in blocks if block)


def _behind_numbers(block: bytes, count: int) -> bytes:
    at = 0
    for _ in range(count):
        while block[at] & 0x80:
            at += 1
        at += 1
    return block[at:]
