"""Small files of state that are there as a whole or not at all, a kill and a power cut included."""

import os
import uuid
from pathlib import Path

from pipeline_tasks.disk_space import out_of_space_errors
from pipeline_tasks.lake.durable_files import sync_folder


def write_atomically(path: Path, text: str) -> None:
    """Put `text` (UTF-8) in the place of the file, making its folder: a reader sees the old text or the new one.

    Two who write at once do not mix: the later one's text stays. A write that was killed leaves a file ``….new`` that
    nobody reads.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{uuid.uuid4().hex}.new")
    try:
        with out_of_space_errors(str(path), "it is as it was"), new.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        # The folder names the new text from now on; without this, a power cut may bring the old one back.
        sync_folder(path.parent)
    finally:
        new.unlink(missing_ok=True)
