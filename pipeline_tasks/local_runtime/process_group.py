"""A server in its own process group, with a pid file by which a later command can find and end it."""

import json
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
from pydantic import BaseModel

from pipeline_tasks.local_runtime.secret_files import OWNER_ONLY


class ServerProcess(BaseModel):
    """The content of the pid file."""

    name: str
    pid: int
    created: float
    """Start time of the process. A process that reuses the pid has another one."""


def start_server(name: str, command: Sequence[str], environment: Mapping[str, str], run: Path, logs: Path) -> None:
    """Start `command` in its own process group and write `run`/<name>.json; its output goes to `logs`."""
    run.mkdir(parents=True, exist_ok=True)
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            umask=OWNER_ONLY,
        )
    created = psutil.Process(process.pid).create_time()
    (run / f"{name}.json").write_text(ServerProcess(name=name, pid=process.pid, created=created).model_dump_json())


def running_server(name: str, run: Path) -> psutil.Process | None:
    """Return the process that `start_server` has started, or None if it has ended."""
    path = run / f"{name}.json"
    if not path.exists():
        return None
    try:
        known = ServerProcess.model_validate(json.loads(path.read_text()))
        process = psutil.Process(known.pid)
        alive = abs(process.create_time() - known.created) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if alive else None


def stop_server(name: str, run: Path, grace_seconds: float = 15) -> bool:
    """End the server with all its descendants and return whether it ran. Only what `start_server` started is ended."""
    server = running_server(name, run)
    (run / f"{name}.json").unlink(missing_ok=True)
    if server is None:
        return False
    # Tasks have their own process groups and would survive the end of the server's group.
    processes = [server, *server.children(recursive=True)]
    for end in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            if process.is_running():
                _send(process, end)
        _, processes = psutil.wait_procs(processes, timeout=grace_seconds)
        if not processes:
            break
    return True


def _send(process: psutil.Process, end: signal.Signals) -> None:
    try:
        process.send_signal(end)
    except psutil.NoSuchProcess:
        return
