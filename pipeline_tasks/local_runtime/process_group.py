"""A server as its own process group, remembered in a pid file so that a later command can find and end it."""

import json
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
from pydantic import BaseModel

from pipeline_tasks.local_runtime.secret_files import OWNER_ONLY


class ServerProcess(BaseModel):
    """What the pid file holds."""

    name: str
    pid: int
    created: float
    """Start time of the process: a reused pid has another."""


def start_server(name: str, command: Sequence[str], environment: Mapping[str, str], run: Path, logs: Path) -> None:
    """Start `command` as a process group of its own and write `run`/<name>.json; its output goes to `logs`."""
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
    """Return the server's process when it is the very one that was started and still runs."""
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
    # Tasks lead groups of their own: ending the server's group alone would leave them behind.
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
