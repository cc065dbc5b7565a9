"""Reads what lies in an archive, as long as it is not far more than the archive."""

import io
import zipfile
from collections.abc import Iterator
from typing import IO, Final

import pyarrow as pa

from pipeline_tasks.lake.file_location import file_location
from pipeline_tasks.sources.sources import SourceError

_BUFFER: Final = 1 << 20
"""Bytes, of which a reader can look at the first before it decides how to read them."""
_ALWAYS_ALLOWED: Final = 1 << 30
"""Bytes that any archive may unpack to."""
_MOST_TIMES: Final = 200
"""A log of one and the same line over and over is packed to a hundredth; a decompression bomb to a thousandth."""


def unpacked(path: str) -> Iterator[io.BufferedReader]:
    """Yield the content of every file in a zip archive, in the order of their names, or that of a packed file.

    Names within an archive decide nothing else: what is written elsewhere never has them.

    Raises:
        SourceError: the archive is damaged, has a password, holds no file, or unpacks to far more than it is.
    """
    left = _Left(path)
    system, inner = file_location(path)
    if not path.lower().endswith(".zip"):
        kind = "zstd" if path.lower().endswith((".zst", ".zstd")) else "detect"
        with system.open_input_stream(inner, compression=kind) as stream:
            yield io.BufferedReader(_Limited(stream, left), _BUFFER)
        return
    try:
        with system.open_input_file(inner) as file, zipfile.ZipFile(file) as archive:
            members = sorted((one for one in archive.infolist() if _is_delivered(one)), key=lambda one: one.filename)
            if not members:
                raise SourceError(f"{path} holds no file: deliver it again")
            for member in members:
                with archive.open(member) as stream:
                    yield io.BufferedReader(_Limited(stream, left), _BUFFER)
    except (zipfile.BadZipFile, pa.ArrowInvalid, RuntimeError, NotImplementedError) as error:
        raise SourceError(
            f"{path} cannot be unpacked: {error}. Deliver it again, without a password and in the common form of zip"
        ) from error


def _is_delivered(member: zipfile.ZipInfo) -> bool:
    """Whether a member is a file that the shop put in, and not one of its system (`__MACOSX/`, `.DS_Store`)."""
    parts = member.filename.split("/")
    return not member.is_dir() and "__MACOSX" not in parts and not parts[-1].startswith(".")


class _Left:
    """How many bytes an archive may still unpack to."""

    def __init__(self, path: str) -> None:
        system, inner = file_location(path)
        self.path = path
        self.bytes = max(_ALWAYS_ALLOWED, _MOST_TIMES * int(system.get_file_info(inner).size))

    def take(self, count: int) -> None:
        self.bytes -= count
        if self.bytes < 0:
            raise SourceError(
                f"{self.path} unpacks to more than {_MOST_TIMES} times its size: it is damaged, or made to fill the "
                f"disk; unpack it by hand and deliver what lies in it"
            )


class _Limited(io.RawIOBase):
    def __init__(self, stream: IO[bytes] | pa.NativeFile, left: _Left) -> None:
        self.stream = stream
        self.left = left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self.stream.read(len(buffer))
        self.left.take(len(data))
        buffer[: len(data)] = data
        return len(data)
