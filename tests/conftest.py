from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_jobs.spark_session import open_session

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """One local session for all Spark tests: starting a JVM takes seconds."""
    session = open_session("nightshelf-tests")
    session.conf.set("spark.sql.shuffle.partitions", "2")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real public logs."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real public logs are not here: put them into ../shared/data")
    return SHARED_DATA
