"""A whole Nightshelf on free ports and in a folder of its own, used only through its command line."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

from pipeline_tasks.config.settings import REPOSITORY, ServerSettings, Settings

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

COMMAND_SECONDS = 1_800
INSTALLED: Final = Path(sys.executable).with_name("nightshelf")
FIRST = "2026-11-19"
SMALL_SHOP: Final = {
    "NIGHTSHELF_SIMULATION__EVENTS": "8000",
    "NIGHTSHELF_SIMULATION__USERS": "300",
    "NIGHTSHELF_SIMULATION__ITEMS": "200",
    "NIGHTSHELF_TRAINING__EPOCHS": "2",
    "NIGHTSHELF_TRAINING__ENCODER_STEPS": "4",
    # Two epochs on 8,000 events teach too little to beat the baselines for certain.
    "NIGHTSHELF_TRAINING__REQUIRE_WIN": "false",
    "NIGHTSHELF_SPLIT__WINDOW_DAYS": "10",
    "NIGHTSHELF_SCORING__TOP_K": "5",
}
"""A shop so small that a run takes minutes on two cores; in containers, tests/docker/small_shop.yaml."""


@dataclass(frozen=True)
class Installation:
    """One home with its servers."""

    home: Path
    environment: dict[str, str]
    command: Path = INSTALLED
    folder: Path = REPOSITORY
    """Where the command is called."""

    def call(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run ``nightshelf`` as a person would, and return its result."""
        return subprocess.run(
            [self.command, *arguments],
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def succeed(self, *arguments: str) -> str:
        """Run ``nightshelf`` and return its output; a failure fails the test with it."""
        done = self.call(*arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Return the rows of a query."""
        rows: list[dict[str, Any]] = json.loads(self.succeed("sql", sql, "--format", "json"))
        return rows

    def registry(self) -> "MlflowClient":
        """Return a logged-in client of the tracking server."""
        from pipeline_tasks.registry.registry import client

        port = int(self.environment["NIGHTSHELF_SERVER__MLFLOW_PORT"])
        return client(Settings(home=self.home, server=ServerSettings(mlflow_port=port)))

    @property
    def mlflow(self) -> str:
        """The tracking server's address."""
        return f"http://127.0.0.1:{self.environment['NIGHTSHELF_SERVER__MLFLOW_PORT']}"


def start_installation(home: Path, **settings: str) -> Iterator[Installation]:
    """Yield an installation whose servers run; they end with it, and nothing of them may remain.

    `settings` take the place of the tests' own: environment variables by name.
    """
    yield from started(Installation(home, _environment(home) | settings))


def started(installation: Installation) -> Iterator[Installation]:
    """Yield the installation while its servers run; they end with it, and nothing of them may remain."""
    try:
        installation.succeed("up", "--servers-only")
        yield installation
    finally:
        installation.call("down")
    assert _processes_of(installation.home) == []


def _environment(home: Path) -> dict[str, str]:
    airflow, mlflow, docs, spark, spark_ui = _free_ports(5)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("NIGHTSHELF_", "AIRFLOW"))}
    return inherited | {
        "NIGHTSHELF_HOME": str(home),
        "NIGHTSHELF_SERVER__AIRFLOW_PORT": str(airflow),
        "NIGHTSHELF_SERVER__MLFLOW_PORT": str(mlflow),
        "NIGHTSHELF_SERVER__DOCS_PORT": str(docs),
        "NIGHTSHELF_SERVER__SPARK_PORT": str(spark),
        "NIGHTSHELF_SERVER__SPARK_UI_PORT": str(spark_ui),
        **SMALL_SHOP,
        "NIGHTSHELF_TRAINING__RETRAIN_EVERY_DAYS": "7",
        "COLUMNS": "200",
    }


def _free_ports(count: int) -> list[int]:
    # Below the range that the system hands out itself.
    found: list[int] = []
    port = 21_000 + os.getpid() % 5_000
    while len(found) < count:
        port += 1
        if _is_free(port):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _processes_of(home: Path) -> list[str]:
    """Return the command lines of processes that still work for the home."""
    found = []
    for process in psutil.process_iter(["environ", "cmdline"]):
        if (process.info["environ"] or {}).get("NIGHTSHELF_HOME") == str(home):
            found.append(" ".join(process.info["cmdline"] or []))
    return found
