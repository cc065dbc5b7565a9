"""Reads the files in archives, and stops at decompression bombs."""

import io
import zipfile
from collections.abc import Iterator
from typing import IO, Final

import pyarrow as pa

from pipeline_tasks.lake.files import file_location
from pipeline_tasks.sources.sources import SourceError

_BUFFER: Final = 1 << 20
"""Bytes that a reader can look at before it decides how to read the file."""
_MIN_ALLOWED: Final = 1 << 30
"""Unpacked bytes that any archive may have."""
_MAX_RATIO: Final = 200
"""Largest allowed compression ratio: a log of identical lines has 100, a decompression bomb 1,000."""


def unpacked(path: str) -> Iterator[io.BufferedReader]:
    """Yield the content of every file in a zip archive, in the order of their names, or of a compressed file.

    Names within an archive only decide the order, and never become paths of copies.

    Raises:
        SourceError: the archive is damaged, has a password, is empty, or is far larger when unpacked.
    """
    budget = _ByteBudget(path)
    system, inner = file_location(path)
    if not path.lower().endswith(".zip"):
        kind = "zstd" if path.lower().endswith((".zst", ".zstd")) else "detect"
        with system.open_input_stream(inner, compression=kind) as stream:
            yield io.BufferedReader(_Limited(stream, budget), _BUFFER)
        return
    try:
        with system.open_input_file(inner) as file, zipfile.ZipFile(file) as archive:
            members = sorted((one for one in archive.infolist() if _is_delivered(one)), key=lambda one: one.filename)
            if not members:
                raise SourceError(f"{path} contains no file: deliver it again")
            for member in members:
                with archive.open(member) as stream:
                    yield io.BufferedReader(_Limited(stream, budget), _BUFFER)
    except (zipfile.BadZipFile, pa.ArrowInvalid, RuntimeError, NotImplementedError) as error:
        raise SourceError(
            f"{path} cannot be unpacked: {error}. Deliver it again as a standard zip file without a password"
        ) from error


def _is_delivered(member: zipfile.ZipInfo) -> bool:
    """Return whether a member is a file of the shop and not of its operating system (`__MACOSX/`, `.DS_Store`)."""
    parts = member.filename.split("/")
    return not member.is_dir() and "__MACOSX" not in parts and not parts[-1].startswith(".")


class _ByteBudget:
    """The number of bytes that an archive may still unpack to."""

    def __init__(self, path: str) -> None:
        system, inner = file_location(path)
        self.path = path
        self.bytes = max(_MIN_ALLOWED, _MAX_RATIO * int(system.get_file_info(inner).size))

    def take(self, count: int) -> None:
        self.bytes -= count
        if self.bytes < 0:
            raise SourceError(
                f"{self.path} unpacks to more than {_MAX_RATIO} times its size: it is damaged or a decompression bomb; "
                f"unpack it by hand and deliver its files"
            )


class _Limited(io.RawIOBase):
    def __init__(self, stream: IO[bytes] | pa.NativeFile, budget: _ByteBudget) -> None:
        self.stream = stream
        self.budget = budget

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self.stream.read(len(buffer))
        self.budget.take(len(data))
        buffer[: len(data)] = data
        return len(data)
