"""Names the file of a failure of Spark where the file is damaged."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from urllib.parse import quote

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, ParseException, PySparkException

from pipeline_tasks.config.settings import settings
from pipeline_tasks.disk_space import is_out_of_space
from pipeline_tasks.sources.sources import SourceError

_DAMAGED: Final = re.compile("FAILED_READ_FILE|EOFException|ZipException|Unexpected end of|is not a Parquet file")
"""Of Spark's own reading of a file, and of the libraries below it."""


@contextmanager
def read_failures(paths: Sequence[str]) -> Iterator[None]:
    """Turn a failure of Spark to read a damaged file into one clear error that names the file.

    Raises:
        SourceError: a file is damaged, or a line of it does not fit into memory.
        PySparkException, Py4JJavaError: the original error, where no file is the cause.
    """
    try:
        yield
    except (AnalysisException, ParseException):
        raise
    except (PySparkException, Py4JJavaError) as error:
        text = str(error)
        if "OutOfMemoryError" in text:
            raise SourceError(
                f"{_failed_file(text, paths)} does not fit into {settings().spark_driver_memory} of memory: is a line "
                f"longer than 100 MB? Deliver it with line ends, or raise NIGHTSHELF_SPARK_DRIVER_MEMORY"
            ) from error
        if is_out_of_space(error) or not _DAMAGED.search(text):
            raise
        cause = re.search(r"Caused by: ([^\n]+)", text)
        raise SourceError(
            f"{_failed_file(text, paths)} cannot be read to its end "
            f"({cause.group(1) if cause else text.splitlines()[0]}): it is cut off or damaged; deliver it again"
        ) from error


def _failed_file(text: str, paths: Sequence[str]) -> str:
    mentioned = [path for path in paths if path in text or quote(path) in text]
    if mentioned:
        return max(mentioned, key=len)
    named = re.search(r"(?:reading file|in file|file:)[ :]*(file:[^\s,'\"]+|/[^\s,'\"]+)", text)
    return re.sub("^file:(//)?", "", named.group(1)).rstrip(".") if named else ", ".join(paths)
