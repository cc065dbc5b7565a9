"""Encodings of delivered files, and those that Spark can read line by line."""

import codecs
import re
from typing import Final

from pipeline_tasks.config.source_toml import FileForm
from pipeline_tasks.sources.sources import SourceError

_BY_LINES: Final = {
    **{
        "utf-8": "UTF-8",
        "ascii": "US-ASCII",
        "gb18030": "GB18030",
        "gbk": "GBK",
        "big5": "Big5",
        "cp932": "windows-31j",
    },
    **{"shift_jis": "Shift_JIS", "euc_jp": "EUC-JP", "euc_kr": "EUC-KR", "koi8-r": "KOI8-R", "tis-620": "TIS-620"},
}
"""Python's name -> Java's name of encodings in which the byte of a line end is never part of another character."""
_NUMBERED: Final = ((re.compile(r"cp(125\d)"), "windows-{}"), (re.compile(r"iso8859-(\d+)"), "ISO-8859-{}"))
_NOT_JAVA: Final = ("iso8859-10", "iso8859-14", "iso8859-16")
_RECODE: Final = 'save it as UTF-8, or name its encoding with options = {{ encoding = "{}" }} in the source\'s TOML'
_NO_TEXT: Final = {
    b"PK\x03\x04": 'is a zip archive (or a workbook): unpack it, or let its name end in .zip (.xlsx, format = "xlsx")',
    b"\x1f\x8b": "is compressed by gzip, but its name does not end in .gz: rename it",
    b"\x28\xb5\x2f\xfd": "is compressed by zstd, but its name does not end in .zst: rename it",
    b"BZh": "is compressed by bzip2, but its name does not end in .bz2: rename it",
    b"PAR1": 'is a Parquet file: set format = "parquet" in the source\'s TOML',
    b"\xff\xfe": f"is UTF-16: {_RECODE.format('UTF-16')}",
    b"\xfe\xff": f"is UTF-16: {_RECODE.format('UTF-16')}",
}
"""First bytes of files that cannot be read as lines -> the problem and its remedy."""
_MOST_NULS: Final = 0.3
"""Largest share of zeros among every second byte. UTF-16 text has more, even Chinese, because of its separators."""


def require_encoding(form: FileForm) -> str | None:
    """Return the encoding in the form's options, None if it has none.

    Raises:
        SourceError: the encoding is unknown.
    """
    name = form.options.get("encoding")
    if name is None:
        return None
    try:
        codecs.lookup(name).incrementaldecoder("strict").decode(b"", final=True)
    except (LookupError, TypeError):
        raise SourceError(
            f"encoding = {name!r} is unknown: correct it in the source's TOML (windows-1252, ISO-8859-1, …)"
        ) from None
    return name


def spark_encoding(form: FileForm) -> str | None:
    """Return Java's name of the form's encoding, None if Spark cannot read its lines."""
    name = codecs.lookup(require_encoding(form) or "utf-8").name
    if name in _NOT_JAVA:
        return None
    for numbered, java in _NUMBERED:
        if found := numbered.fullmatch(name):
            return java.format(found.group(1))
    return _BY_LINES.get(name)


def require_text(path: str, start: bytes) -> None:
    """Check by its first bytes, `start`, that a file can be read as lines.

    Raises:
        SourceError: it cannot; the message names the file's real type and the remedy.
    """
    for mark, remedy in _NO_TEXT.items():
        if start.startswith(mark):
            raise SourceError(f"{path} {remedy}")
    sides = start[::2].count(0), start[1::2].count(0)
    if max(sides) > len(start) / 2 * _MOST_NULS:
        raise SourceError(
            f"{path} is UTF-16 without a mark: {_RECODE.format('UTF-16BE' if sides[0] > sides[1] else 'UTF-16LE')}"
        )
