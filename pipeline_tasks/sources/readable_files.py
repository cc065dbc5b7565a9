"""Makes delivered files readable by lines: unpacks archives, and rewrites documents and encodings without lines.

Files that Spark can read line by line (also in gzip and bzip2) are not copied.
"""

import io
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pipeline_tasks.config.source_toml import FileForm
from pipeline_tasks.lake.files import file_location
from pipeline_tasks.sources.document_rows import is_document, object_lines, write_csv
from pipeline_tasks.sources.packed_files import unpacked
from pipeline_tasks.sources.sources import SourceError
from pipeline_tasks.sources.text_encodings import require_encoding, require_text, spark_encoding

_SAMPLE_BYTES: Final = 1 << 20
_FIRST_BYTES: Final = 4096
_PACKED: Final = (".zip", ".zst", ".zstd")


@dataclass(frozen=True)
class ReadableFiles:
    """Files as Spark reads them."""

    form: FileForm
    paths: list[str]
    origins: dict[str, str] = field(default_factory=dict)
    """Path of a copy -> the delivered file."""


@contextmanager
def readable_files(form: FileForm, paths: Sequence[str], scratch: Path) -> Iterator[ReadableFiles]:
    """Yield readable files: the files themselves, or copies below `scratch`, which is removed at the end.

    Raises:
        SourceError: a file is damaged, an empty archive, or far larger when unpacked.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        ready = ReadableFiles(_readable_form(form), [])
        for number, path in enumerate(paths):
            copies = _copies(form, path, scratch / str(number))
            ready.paths.extend(copies or [path])
            ready.origins.update(dict.fromkeys(copies, path))
        yield ready
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _readable_form(form: FileForm) -> FileForm:
    if form.format == "xlsx":
        return form.model_copy(update={"format": "csv", "options": {"escape": '"'}})
    options = dict(form.options)
    if _is_recoded(form):
        options["encoding"] = "UTF-8"
    if form.format == "json":
        options.pop("multiLine", None)
    return form.model_copy(update={"options": options})


def _is_recoded(form: FileForm) -> bool:
    """Return whether Spark does not support the files' encoding, or cannot find line ends in it."""
    if require_encoding(form) is None or form.format == "parquet":
        return False
    name = spark_encoding(form)
    return name is None or (name != "UTF-8" and form.format == "csv" and form.options.get("multiLine") == "true")


def _copies(form: FileForm, path: str, folder: Path) -> list[str]:
    """Write readable copies of a file into `folder` and return their paths; none if the file itself is readable."""
    packed = path.lower().endswith(_PACKED) or form.format == "xlsx"
    if not (packed or _is_recoded(form) or _must_be_rewritten(form, path)):
        return []
    folder.mkdir(parents=True, exist_ok=True)
    copies: list[str] = []
    try:
        for part in unpacked(path):
            copies.append(str(folder / f"{len(copies)}.{form.format}"))
            _write(form, part, path, Path(copies[-1]))
    except (OSError, EOFError, zipfile.BadZipFile, KeyError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise SourceError(f"{path} cannot be read: {error}. It is cut off or damaged: deliver it again") from error
    return copies


def _must_be_rewritten(form: FileForm, path: str) -> bool:
    """Return whether a file is a JSON document, which must be rewritten as lines.

    Raises:
        SourceError: a file of lines is not text; the message names the remedy.
    """
    if form.format == "parquet":
        return False
    system, inner = file_location(path)
    try:
        with system.open_input_stream(inner, compression="detect") as stream:
            start = stream.read(_SAMPLE_BYTES if form.format == "json" else _FIRST_BYTES)
    except OSError:
        # The later reading of the whole file reports the error.
        return False
    require_text(path, start)
    return form.format == "json" and _is_json_document(form, start)


def _is_json_document(form: FileForm, start: bytes) -> bool:
    text = start.decode(require_encoding(form) or "utf-8", errors="replace")
    return form.options.get("multiLine") == "true" or is_document(text, len(start) >= _SAMPLE_BYTES)


def _write(form: FileForm, part: io.BufferedReader, path: str, copy: Path) -> None:
    encoding = require_encoding(form) or "utf-8"
    if form.format == "xlsx":
        with copy.open("w", encoding="utf-8", newline="") as out:
            write_csv(io.BytesIO(part.read()), out)
        return
    document = form.format == "json" and _is_json_document(form, part.peek(_SAMPLE_BYTES)[:_SAMPLE_BYTES])
    if not document and not _is_recoded(form):
        with copy.open("wb") as binary:
            shutil.copyfileobj(part, binary, _SAMPLE_BYTES)
        return
    text = io.TextIOWrapper(part, encoding, errors="replace", newline="")
    with copy.open("w", encoding="utf-8", newline="") as out:
        if document:
            out.writelines(f"{line}\n" for line in object_lines(text, path))
        else:
            shutil.copyfileobj(text, out, _SAMPLE_BYTES)
