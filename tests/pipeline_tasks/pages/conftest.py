from collections.abc import Iterator

import pytest

from pipeline_tasks.config.settings import Settings, settings
from tests.pipeline_tasks.pages.page_shop import write_page_shop


@pytest.fixture(scope="package")
def written_shop(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The settings of a home with the two nights."""
    written = Settings(home=tmp_path_factory.mktemp("home"))
    write_page_shop(written)
    return written


@pytest.fixture
def shop(written_shop: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The same; the settings of this process are those of that home."""
    monkeypatch.setenv("NIGHTSHELF_HOME", str(written_shop.home))
    settings.cache_clear()
    yield written_shop
    settings.cache_clear()
