"""Reads the compose file of docker/, and starts a temporary project of it on free ports."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml

from pipeline_tasks.config.settings import REPOSITORY, inherited_environment

DOCKER: Final = REPOSITORY / "docker"
MAKE_SECRETS: Final = DOCKER / "make_secrets.sh"
COMPOSE_FILE: Final = DOCKER / "compose.yaml"
SMALL_SHOP: Final = Path(__file__).with_name("small_shop.yaml")
TEST_TAG: Final = "test"
PORT_VARIABLES: Final = ("AIRFLOW_PORT", "MLFLOW_PORT", "DOCS_PORT", "SPARK_PORT")
_AIRFLOWS = {"AIRFLOW_JWT_SECRET", "AIRFLOW_SECRET_KEY", "AIRFLOW_FERNET_KEY", "AIRFLOW_DATABASE_PASSWORD"}
_TABLES = {"LAKE_DATABASE_PASSWORD", "MLFLOW_ADMIN_PASSWORD"}
_TASKS = {"SPARK_SECRET", "CELERY_DATABASE_PASSWORD"}
SECRETS_OF_ROLE: Final = {
    "postgres": {f"{part}_DATABASE_PASSWORD" for part in ("AIRFLOW", "MLFLOW", "LAKE", "CELERY")}
    | {"POSTGRES_PASSWORD"},
    "initialize": _AIRFLOWS | _TABLES,
    "airflow-api": _AIRFLOWS | _TABLES | {"AIRFLOW_ADMIN_PASSWORD"},
    "airflow-scheduler": _AIRFLOWS | _TABLES | _TASKS,
    "airflow-worker": _AIRFLOWS | _TABLES | _TASKS,
    "airflow-dag-processor": _AIRFLOWS,
    "airflow-triggerer": _AIRFLOWS,
    "mlflow": {"MLFLOW_DATABASE_PASSWORD", "MLFLOW_ADMIN_PASSWORD", "MLFLOW_SECRET_KEY"},
    "spark-master": {"SPARK_SECRET"},
    "spark-worker": {"SPARK_SECRET"},
    "data-docs": set(),
}
"""The secrets that each role needs."""


def read_services() -> dict[str, dict[str, Any]]:
    """Return the services by name, with anchors and merges resolved and variables as written."""
    services: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE_FILE.read_text())["services"]
    return services


def read_env(path: Path) -> dict[str, str]:
    """Return the variables of an env file, including commented lines of the form NAME=VALUE."""
    pairs = (line.removeprefix("#").partition("=") for line in path.read_text().splitlines())
    return {name: value for name, _, value in pairs if name.isupper() and " " not in name}


def make_secrets(file: Path) -> dict[str, str]:
    """Write the secrets of a new installation into the file, and return its variables."""
    subprocess.run(["bash", str(MAKE_SECRETS), str(file)], capture_output=True, check=True)
    return read_env(file)


class ComposeProject:
    """A project of docker/compose.yaml with its own name, image tag, volumes and ports, and a small shop."""

    def __init__(self, name: str) -> None:
        self.ports = dict(zip(PORT_VARIABLES, free_ports(len(PORT_VARIABLES)), strict=True))
        with TemporaryDirectory() as folder:
            self.secrets = make_secrets(Path(folder) / "env")
        files = ["--file", str(COMPOSE_FILE), "--file", str(SMALL_SHOP)]
        self._command = ["docker", "compose", "--project-name", name, *files]
        chosen = {variable: str(port) for variable, port in self.ports.items()} | {"NIGHTSHELF_VERSION": TEST_TAG}
        self._environment = inherited_environment() | self.secrets | chosen | wheel_folder()

    def run(self, *arguments: str, seconds: int = 600, given: str | None = None) -> str:
        """Run a compose command and return its output. Raises AssertionError with all output when it fails."""
        done = subprocess.run(
            [*self._command, *arguments],
            env=self._environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, f"compose {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}"
        return done.stdout


@contextmanager
def running_project(name: str) -> Iterator[ComposeProject]:
    """Build the image and start all services until they are healthy; remove everything afterwards, also volumes."""
    project = ComposeProject(name)
    try:
        project.run("build", seconds=1800)
        project.run("up", "--wait", "--wait-timeout", "600", seconds=700)
        yield project
    finally:
        project.run("down", "--volumes", "--timeout", "5")
        # Only the name is removed; the layers stay in the build cache.
        subprocess.run(["docker", "image", "rm", f"nightshelf:{TEST_TAG}"], capture_output=True, check=False)


def wheel_folder() -> dict[str, str]:
    """Return WHEELS for the build where the installers' variables name a folder with a torch wheel."""
    folders = (inherited_environment().get(name, "") for name in ("UV_FIND_LINKS", "PIP_FIND_LINKS"))
    return next(({"WHEELS": folder} for folder in folders if folder and list(Path(folder).glob("torch-*.whl"))), {})


def free_ports(count: int) -> list[int]:
    """Return ports on 127.0.0.1 that are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def engine_answers() -> bool:
    """Return whether a Docker engine with Compose v2 can be reached."""
    return compose_answers() and _succeeds(["docker", "info"])


def compose_answers() -> bool:
    """Return whether there is a Docker client with Compose v2. Debian's client has none."""
    return shutil.which("docker") is not None and _succeeds(["docker", "compose", "version"])


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
