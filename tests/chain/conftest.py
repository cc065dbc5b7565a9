from collections.abc import Iterator

import pytest

from tests.chain.installation import FIRST, Installation, start_installation


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Servers started by ``nightshelf up``, ended by ``nightshelf down``."""
    yield from start_installation(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def first_night(installation: Installation) -> str:
    """What ``nightshelf run`` said of the first night, which trains."""
    return installation.succeed("run", "--date", FIRST)
