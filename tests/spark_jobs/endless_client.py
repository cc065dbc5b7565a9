"""A job whose query never ends: python -m tests.spark_jobs.endless_client FILE; its task touches the file."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from spark_jobs.common.spark_session import open_session


def main(file: str) -> None:
    def touch(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        while True:
            Path(file).touch()
            time.sleep(0.1)
        yield from batches

    open_session("endless").range(1).mapInArrow(touch, "id long").count()


if __name__ == "__main__":
    main(sys.argv[1])
