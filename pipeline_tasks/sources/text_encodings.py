"""Which encodings files may have, and which of them Spark can read line by line."""

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
"""Java's names by Python's, of encodings in which a line end is one byte that is no part of another character."""
_NUMBERED: Final = ((re.compile(r"cp(125\d)"), "windows-{}"), (re.compile(r"iso8859-(\d+)"), "ISO-8859-{}"))
_NOT_JAVA: Final = ("iso8859-10", "iso8859-14", "iso8859-16")
_RECODE: Final = 'save it as UTF-8, or name its encoding with options = {{ encoding = "{}" }} in the source\'s TOML'
_NO_TEXT: Final = {
    b"PK\x03\x04": 'is a zip archive (or a workbook): unpack it, or let its name end in .zip (.xlsx, format = "xlsx")',
    b"\x1f\x8b": "is compressed by gzip, which its name does not say: let its name end in .gz",
    b"\x28\xb5\x2f\xfd": "is compressed by zstd, which its name does not say: let its name end in .zst",
    b"BZh": "is compressed by bzip2, which its name does not say: let its name end in .bz2",
    b"PAR1": 'is a Parquet file: say format = "parquet" in the source\'s TOML',
    b"\xff\xfe": f"is UTF-16: {_RECODE.format('UTF-16')}",
    b"\xfe\xff": f"is UTF-16: {_RECODE.format('UTF-16')}",
}
"""First bytes of what cannot be read as lines, and the remedy."""
_MOST_NULS: Final = 0.3
"""Share of zeros among every other byte; UTF-16 of Latin letters has them all, of Chinese those of its separators."""


def require_encoding(form: FileForm) -> str | None:
    """Return the encoding that the form names, None where it names none.

    Raises:
        SourceError: it is unknown.
    """
    name = form.options.get("encoding")
    if name is None:
        return None
    try:
        codecs.lookup(name).incrementaldecoder("strict").decode(b"", final=True)
    except (LookupError, TypeError):
        raise SourceError(
            f"encoding = {name!r} is not known: correct it in the source's TOML (windows-1252, ISO-8859-1, …)"
        ) from None
    return name


def spark_encoding(form: FileForm) -> str | None:
    """Return Java's name of the form's encoding, None where Spark cannot read its lines."""
    name = codecs.lookup(require_encoding(form) or "utf-8").name
    if name in _NOT_JAVA:
        return None
    for numbered, java in _NUMBERED:
        if found := numbered.fullmatch(name):
            return java.format(found.group(1))
    return _BY_LINES.get(name)


def require_text(path: str, start: bytes) -> None:
    """Refuse a file that begins with `start` and cannot be read as lines.

    Raises:
        SourceError: what it is instead, and the remedy.
    """
    for mark, remedy in _NO_TEXT.items():
        if start.startswith(mark):
            raise SourceError(f"{path} {remedy}")
    sides = start[::2].count(0), start[1::2].count(0)
    if max(sides) > len(start) / 2 * _MOST_NULS:
        raise SourceError(
            f"{path} is UTF-16 without a mark: {_RECODE.format('UTF-16BE' if sides[0] > sides[1] else 'UTF-16LE')}"
        )
