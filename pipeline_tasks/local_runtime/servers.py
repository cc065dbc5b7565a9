"""The servers of one machine: Airflow, MLflow, the Data Docs and Spark, all on 127.0.0.1."""

import shutil
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from pipeline_tasks.config.settings import PROJECT_FILES, Settings, child_environment, inherited_environment
from pipeline_tasks.local_runtime.airflow_environment import admin_password, airflow_environment, airflow_home
from pipeline_tasks.local_runtime.java import java_home
from pipeline_tasks.local_runtime.process_group import running_server, start_server, stop_server
from pipeline_tasks.local_runtime.secret_files import (
    login_file,
    make_private,
    mlflow_server_login,
    own_login,
    user_database,
)
from pipeline_tasks.local_runtime.spark_server import is_embedded, server_variables

START_SECONDS = 600
"""Limit for a server that hangs; a server that ends is noticed at once. The first start takes about 60 s on two idle
cores (database migrations), 200 s on busy ones."""

POOLS = {"spark": "Spark jobs on this machine, one at a time", "gpu": "trainings: one for each GPU"}
"""Airflow pools of the tasks. Each is created with one slot; the UI can give it more."""


SERVERS_WITHOUT = ("NIGHTSHELF_LAKE_", "MLFLOW_TRACKING_")
"""Prefixes of variables that MLflow, the Data Docs and Spark do not get."""


@dataclass(frozen=True)
class Server:
    """How one server is started and how its health is checked."""

    name: str
    command: list[str]
    environment: dict[str, str]
    port: int
    port_variable: str
    is_healthy: Callable[[], bool]


def run_folder(settings: Settings) -> Path:
    """Return the folder of the pid files."""
    return settings.home / "run"


def server_environment(settings: Settings) -> dict[str, str]:
    """Return this process's environment with the installed commands first on PATH and an absolute home."""
    inherited = inherited_environment()
    path = f"{Path(sys.executable).parent}:{inherited.get('PATH', '')}"
    return inherited | {
        "PATH": path,
        "PYTHONUNBUFFERED": "1",
        "JAVA_HOME": str(java_home(settings)),
        "NIGHTSHELF_HOME": str(settings.home.resolve()),
    }


def servers(settings: Settings) -> list[Server]:
    """Return the servers in the order of their start: the slowest first."""
    ports, base = settings.server, server_environment(settings)
    mlflow = settings.home.resolve() / "mlflow"
    return [
        Server(
            "airflow",
            ["python", "-m", "pipeline_tasks.local_runtime.airflow_parts"],
            airflow_environment(settings) | base | {"AIRFLOW_HOME": str(airflow_home(settings).resolve())},
            ports.airflow_port,
            "NIGHTSHELF_SERVER__AIRFLOW_PORT",
            lambda: _airflow_is_healthy(ports.airflow_port),
        ),
        Server(
            "mlflow",
            [
                *("mlflow", "server", "--host", "127.0.0.1", "--port", str(ports.mlflow_port)),
                *("--app-name", "basic-auth"),
                *("--backend-store-uri", f"sqlite:///{mlflow / 'mlflow.db'}"),
                *("--artifacts-destination", str(mlflow / "artifacts")),
            ],
            child_environment(base, SERVERS_WITHOUT) | mlflow_server_settings() | mlflow_server_login(settings),
            ports.mlflow_port,
            "NIGHTSHELF_SERVER__MLFLOW_PORT",
            lambda: _mlflow_is_healthy(settings),
        ),
        Server(
            "data_docs",
            [
                *(sys.executable, "-m", "http.server", str(ports.docs_port)),
                *("--bind", "127.0.0.1", "--directory", str(settings.data_docs.resolve())),
            ],
            child_environment(base, SERVERS_WITHOUT),
            ports.docs_port,
            "NIGHTSHELF_SERVER__DOCS_PORT",
            lambda: _is_reachable(f"http://127.0.0.1:{ports.docs_port}/"),
        ),
        *([_spark_server(settings, base)] if is_embedded(settings) else []),
    ]


def _spark_server(settings: Settings, base: dict[str, str]) -> Server:
    port = settings.server.spark_port
    return Server(
        "spark",
        ["python", "-m", "pipeline_tasks.local_runtime.spark_server"],
        child_environment(base, SERVERS_WITHOUT) | server_variables(settings),
        port,
        "NIGHTSHELF_SERVER__SPARK_PORT",
        lambda: is_open(port),
    )


def mlflow_server_settings() -> dict[str, str]:
    """Return the variables of mlflow/server.env, which the container image uses too."""
    lines = (PROJECT_FILES / "mlflow" / "server.env").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line.strip() and not line.startswith("#"))
    return {name.strip(): value.strip().strip('"') for name, _, value in pairs}


@dataclass(frozen=True)
class ServerStart:
    """How far a server is with its start."""

    name: str
    port: int
    seconds: float
    """Until it was healthy, or so far."""
    is_healthy: bool


def start_servers(settings: Settings, show: Callable[[Sequence[ServerStart]], None]) -> list[str]:
    """Start the servers that do not run yet, wait until all are healthy, and return the names of those started.

    `show` gets the state of all servers, again and again until all are healthy.

    Raises:
        OSError: a port is taken by another program.
        ChildProcessError: a server ended while starting.
        TimeoutError: a server did not become healthy.
    """
    make_private(settings.home)
    for folder in (settings.data_docs, airflow_home(settings), settings.home / "mlflow"):
        folder.mkdir(parents=True, exist_ok=True)
    admin_password(settings)
    wanted = servers(settings)
    started = [server for server in wanted if running_server(server.name, run_folder(settings)) is None]
    for server in started:
        _refuse_taken_port(server)
        if shutil.which(server.command[0], path=server.environment["PATH"]) is None:
            raise FileNotFoundError(f"{server.command[0]} is missing beside {sys.executable}: install nightshelf again")
        start_server(server.name, server.command, server.environment, run_folder(settings), settings.logs)
    _wait_until_healthy(wanted, settings, show)
    return [server.name for server in started]


def stop_servers(settings: Settings) -> list[str]:
    """End the servers that `start_servers` started and return the names of those that ran."""
    return [server.name for server in servers(settings) if stop_server(server.name, run_folder(settings))]


def _wait_until_healthy(
    wanted: Sequence[Server], settings: Settings, show: Callable[[Sequence[ServerStart]], None]
) -> None:
    began = time.monotonic()
    ready: dict[str, float] = {}
    while True:
        for server in wanted:
            if server.name not in ready and _is_ready(server, settings, time.monotonic() - began):
                ready[server.name] = time.monotonic() - began
        waited = time.monotonic() - began
        show([ServerStart(s.name, s.port, ready.get(s.name, waited), s.name in ready) for s in wanted])
        if len(ready) == len(wanted):
            return
        time.sleep(0.5)


def _is_ready(server: Server, settings: Settings, waited: float) -> bool:
    """Return whether the server is healthy. Raises ChildProcessError or TimeoutError where it cannot become so."""
    if server.is_healthy():
        return True
    log = settings.logs / f"{server.name}.log"
    if running_server(server.name, run_folder(settings)) is None:
        raise ChildProcessError(f"{server.name} ended while starting; its log {log} ends:\n{_tail(log)}")
    if waited > START_SECONDS:
        raise TimeoutError(f"{server.name} is not ready after {START_SECONDS} s: see {log}")
    return False


def _refuse_taken_port(server: Server) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", server.port))
        except OSError:
            raise OSError(
                f"Port {server.port} for {server.name} is taken by another program: "
                f"end it, or choose a free port with {server.port_variable}=<port>"
            ) from None


def _airflow_is_healthy(port: int) -> bool:
    try:
        health = httpx.get(f"http://127.0.0.1:{port}/api/v2/monitor/health", timeout=5).json()
    except (httpx.TransportError, ValueError):
        return False
    return all(health.get(part, {}).get("status") == "healthy" for part in ("scheduler", "dag_processor"))


def _mlflow_is_healthy(settings: Settings) -> bool:
    address = f"http://127.0.0.1:{settings.server.mlflow_port}/api/2.0/mlflow/experiments/search?max_results=1"
    try:
        response = httpx.get(address, timeout=5, auth=own_login(settings))
    except httpx.TransportError:
        return False
    if response.status_code == httpx.codes.UNAUTHORIZED:
        raise PermissionError(
            f"MLflow refuses the password in {login_file(settings)}: restore the file that was made with "
            f"{user_database(settings)}, or stop the servers (nightshelf down) and delete both files and their users"
        )
    return response.is_success


def _is_reachable(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5).is_success
    except httpx.TransportError:
        return False


def is_open(port: int) -> bool:
    """Return whether a program of this machine takes connections on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
