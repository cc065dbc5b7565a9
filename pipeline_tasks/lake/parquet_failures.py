"""Names the Parquet file that could not be read: Arrow's own errors mostly do not."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from pipeline_tasks.failure_messages import damaged_file_error


@contextmanager
def parquet_failures(path: str) -> Iterator[None]:
    """Turn a failure to read the file into one error with its name and what to do.

    Raises:
        DamagedFileError: the file is damaged or gone.
    """
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        raise damaged_file_error(path, str(error).splitlines()[0]) from error
