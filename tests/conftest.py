from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from pipeline_tasks.config.settings import settings
from spark_jobs.common.spark_session import open_session

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
CHAIN = "tests/chain"


class FilesTogether(LoadFileScheduling):  # type: ignore[misc]
    """Gives a file to one process, as its tests share a run or a trained model; all of the chain's, as they share
    servers."""

    def _split_scope(self, nodeid: str) -> str:
        return CHAIN if nodeid.startswith(f"{CHAIN}/") else str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FilesTogether:
    return FilesTogether(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that uses the session, directly or by another fixture, before tests are chosen by marks."""
    for item in items:
        if "spark" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.spark)


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """One local session for all Spark tests: starting a JVM takes seconds.

    It has twice the heap of a job: Spark keeps the status of its last thousand stages and queries, and a process of the
    tests runs about 4,000.
    """
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NIGHTSHELF_SPARK_DRIVER_MEMORY", "3g")
        settings.cache_clear()
        session = open_session("nightshelf-tests")
    settings.cache_clear()
    session.conf.set("spark.sql.shuffle.partitions", "2")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real public logs."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real public logs are not here: put them into ../shared/data")
    return SHARED_DATA
