from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_jobs.spark_session import open_session

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
TESTS = Path(__file__).parent
CHAIN = TESTS / "chain"


# First: xdist puts the group into the test's name where it finds one.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what shares servers, a night or a trained model in one process: a file, and all files of the chain."""
    for item in items:
        group = CHAIN if item.path.is_relative_to(CHAIN) else item.path
        item.add_marker(pytest.mark.xdist_group(str(group.relative_to(TESTS))))


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
