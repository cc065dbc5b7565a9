"""Opens a session of a Spark Connect server, which ends with the job: its queries, its views and its cached rows."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from types import FrameType
from typing import Any, Final
from urllib.parse import urlsplit

from pyspark.errors.exceptions.connect import SparkConnectGrpcException
from pyspark.sql import SparkSession
from pyspark.sql.connect.shell.progress import ProgressHandler

from pipeline_tasks import progress_log

START_SECONDS: Final = 60.0
"""How long a job waits for a server that starts again."""
_PORT: Final = 15002
"""Spark's default."""


def connect(remote: str, options: Mapping[str, str]) -> SparkSession:
    """Return a new session with the options of the server at `remote` (sc://host:port/;token=…).

    Raises:
        ConnectionError: the server cannot be reached.
        PermissionError: it refuses the token.
    """
    _await_server(remote)
    os.environ["SPARK_CONNECT_RELEASE_SESSION_ON_EXIT"] = "true"
    builder = SparkSession.builder.remote(remote)
    for name, value in options.items():
        builder = builder.config(name, value)
    try:
        session = builder.create()
    except SparkConnectGrpcException as error:
        if "UNAUTHENTICATED" in str(error) or "PERMISSION_DENIED" in str(error):
            raise PermissionError(
                f"The Spark Connect server {_address(remote)} refuses the token: correct NIGHTSHELF_SPARK_REMOTE"
            ) from error
        raise
    _end_with_its_task(session)
    session.registerProgressHandler(StageLog())
    return session


def _await_server(remote: str) -> None:
    """Return once the server takes connections. Spark's client would try for ten minutes."""
    host, _, port = _address(remote).rpartition(":")
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with socket.create_connection((host, int(port)), timeout=5):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise ConnectionError(
                    f"The Spark Connect server {_address(remote)} cannot be reached ({error}): start it "
                    f"(`nightshelf up` starts that of this machine), or correct NIGHTSHELF_SPARK_REMOTE"
                ) from error
        time.sleep(0.5)


def _address(remote: str) -> str:
    """Return host:port, without the token."""
    place = urlsplit(remote.replace("sc://", "http://", 1))
    return f"{place.hostname or 'localhost'}:{place.port or _PORT}"


def _end_with_its_task(session: SparkSession) -> None:
    """End the queries of the session when the task is killed. The server would go on with them, and write files."""

    def end(number: int, _: FrameType | None) -> None:
        session.interruptAll()
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, end)


class StageLog(ProgressHandler):
    """Prints the running stages every `progress_log.LINE_INTERVAL` seconds, as the server reports them."""

    def __init__(self) -> None:
        self._printed_at = time.monotonic()

    def __call__(self, stages: Iterable[Any] | None, inflight_tasks: int, operation_id: str | None, done: bool) -> None:
        """Take the progress of a query; the parameters are named by Spark."""
        running = [stage for stage in stages or () if not stage.done]
        if done or not running or time.monotonic() - self._printed_at < progress_log.LINE_INTERVAL:
            return
        self._printed_at = time.monotonic()
        print(f"Spark: {'; '.join(map(stage_text, running))}", flush=True)


def stage_text(stage: Any) -> str:  # noqa: ANN401
    """Return ``stage 12, 34 of 70 tasks``."""
    return f"stage {stage.stage_id}, {stage.num_completed_tasks:,} of {stage.num_tasks:,} tasks"
