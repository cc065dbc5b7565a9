from collections.abc import Iterator

import pytest

from tests.chain.installation import FIRST, Installation, start_installation
from tests.chain.listening import Sockets, watched


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Servers started by ``nightshelf up``, ended by ``nightshelf down``."""
    yield from start_installation(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def sockets_of_first_night() -> Sockets:
    """What listened while the first night ran; filled by `first_night`."""
    return set()


@pytest.fixture(scope="session")
def first_night(installation: Installation, sockets_of_first_night: Sockets) -> str:
    """What ``nightshelf run`` said of the first night, which trains."""
    with watched(installation.home) as sockets:
        said = installation.succeed("run", "--date", FIRST)
    sockets_of_first_night |= sockets
    return said
