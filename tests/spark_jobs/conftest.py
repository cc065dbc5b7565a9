from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.settings import settings
from tests.spark_jobs.one_shop import OneShop


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spark: SparkSession) -> Iterator[OneShop]:
    """A shop of one's own: an empty home, and an empty folder for its files."""
    monkeypatch.setenv("NIGHTSHELF_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    (tmp_path / "files").mkdir()
    yield OneShop(spark, tmp_path / "files")
    settings.cache_clear()
