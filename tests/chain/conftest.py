from collections.abc import Iterator

import pytest

from tests.chain.installation import FIRST, Installation, start_installation
from tests.chain.listening import Sockets, watched


@pytest.fixture(scope="package")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Servers started by ``nightshelf up``, ended by ``nightshelf down``."""
    yield from start_installation(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="package")
def sockets_of_first_run() -> Sockets:
    """Sockets that listened during the first run; filled by `first_run`."""
    return set()


@pytest.fixture(scope="package")
def first_run(installation: Installation, sockets_of_first_run: Sockets) -> str:
    """Output of ``nightshelf run`` for the first run, which tunes the encoder and trains."""
    with watched(installation.home) as sockets:
        output = installation.succeed("run", "--date", FIRST, "--set", "candidates=lora")
    sockets_of_first_run |= sockets
    return output
