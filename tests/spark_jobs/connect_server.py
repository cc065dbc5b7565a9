"""A Spark Connect server on loopback, as `nightshelf up` starts it."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from pipeline_tasks.config.settings import REPOSITORY, ServerSettings, Settings
from pipeline_tasks.local_runtime.java import java_home
from pipeline_tasks.local_runtime.servers import is_open
from pipeline_tasks.local_runtime.spark_server import embedded_remote, server_command, server_variables

_STARTS_WITHIN: Final = 180


@contextmanager
def running_server(home: Path) -> Iterator[str]:
    """Yield the address of a new server, with its token. At the end, stop its processes."""
    settings = Settings(home=home, server=ServerSettings(spark_port=_free_port(), spark_ui_port=0))
    environment = os.environ | server_variables(settings)
    environment |= {"JAVA_HOME": str(java_home(settings)), "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(server_command(settings), cwd=home, env=environment, stdout=log, stderr=log)
    try:
        until = time.monotonic() + _STARTS_WITHIN
        while not is_open(settings.server.spark_port):
            if server.poll() is not None or time.monotonic() > until:
                raise TimeoutError(f"no server after {_STARTS_WITHIN} s: {(home / 'server.log').read_text()[-2000:]}")
            time.sleep(0.2)
        yield embedded_remote(settings)
    finally:
        family = psutil.Process(server.pid).children(recursive=True) if server.poll() is None else []
        server.kill()
        server.wait()
        for process in family:
            if process.is_running():
                process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
