import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline_tasks.config.settings import inherited_environment
from pipeline_tasks.local_runtime.process_group import running_server, start_server, stop_server

WITH_A_SESSION_OF_ITS_OWN = (
    "import subprocess, sys, time; "
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'], start_new_session=True); "
    "print('serving', flush=True); time.sleep(300)"
)


@pytest.fixture
def server(tmp_path: Path) -> psutil.Process:
    """A server whose child leads a process group of its own, as Airflow's tasks do."""
    command = [sys.executable, "-c", WITH_A_SESSION_OF_ITS_OWN]
    start_server("shop", command, inherited_environment(), tmp_path / "run", tmp_path / "logs")
    process = running_server("shop", tmp_path / "run")
    assert process is not None
    deadline = time.monotonic() + 30
    while not process.children() and time.monotonic() < deadline:
        time.sleep(0.05)
    return process


def test_stopping_ends_the_server_and_children_in_other_groups(server: psutil.Process, tmp_path: Path) -> None:
    children = server.children(recursive=True)
    assert len(children) == 1
    assert stop_server("shop", tmp_path / "run")
    assert not server.is_running()
    assert not any(child.is_running() for child in children)
    assert not stop_server("shop", tmp_path / "run"), "it was stopped already"


def test_another_process_with_the_same_pid_is_left_alone(server: psutil.Process, tmp_path: Path) -> None:
    pid_file = tmp_path / "run" / "shop.json"
    known = pid_file.read_text()
    pid_file.write_text(known.replace(f'"created":{server.create_time()}', '"created":1.0'))
    assert running_server("shop", tmp_path / "run") is None
    assert not stop_server("shop", tmp_path / "run")
    assert server.is_running()
    pid_file.write_text(known)
    assert stop_server("shop", tmp_path / "run")
