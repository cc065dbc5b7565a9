from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.config.settings import Settings, settings
from tests.spark_jobs.one_shop import ShopFixture
from tests.spark_jobs.small_run import prepare


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spark: SparkSession) -> Iterator[ShopFixture]:
    """A shop with an empty home and an empty folder for its files."""
    monkeypatch.setenv("NIGHTSHELF_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    (tmp_path / "files").mkdir()
    yield ShopFixture(spark, tmp_path / "files")
    settings.cache_clear()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The home of the small run: published tables, vectors, and rules that keep the order of the model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NIGHTSHELF_HOME", str(tmp_path_factory.mktemp("recommend")))
        settings.cache_clear()
        prepare(settings())
        (settings().home / "by_score.toml").write_text("[shelf]\nmmr_lambda = 1\n")
        yield settings()
    settings.cache_clear()
