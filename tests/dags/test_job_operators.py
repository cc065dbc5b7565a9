"""The operators that start heavy work."""

import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline_tasks.local_runtime.gpu_count import TORCHRUN

pytestmark = pytest.mark.slow


def test_killed_task_ends_its_whole_training(tmp_path: Path) -> None:
    from job_operators import ChildProcess

    pids = tmp_path / "pids"
    task = ChildProcess(task_id="train", module="tests.dags.stubborn_training", options=[f"--pids={pids}"])
    running = threading.Thread(target=_execute, args=(task,), daemon=True)
    running.start()
    deadline = time.monotonic() + 60
    while not pids.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    processes = [psutil.Process(int(pid)) for pid in pids.read_text().split()]
    task.on_kill()
    gone, alive = psutil.wait_procs(processes, timeout=10)
    running.join(timeout=10)
    assert (len(gone), alive, running.is_alive()) == (2, [], False)


@pytest.mark.parametrize(("visible", "processes"), [("0,1,3", 3), ("0", 1), ("", 1), ("-1", 1)])
def test_training_is_started_once_for_each_gpu(
    visible: str, processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from job_operators import ChildProcess

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    torchrun = [*TORCHRUN, "--nproc-per-node=3"]
    for wide in (True, False):
        task = ChildProcess(task_id="train", module="pipeline_tasks.candidates.train_candidate", on_every_gpu=wide)
        start = torchrun if wide and processes == 3 else []
        assert task.command_line()[: len(start) + 3] == [
            "python",
            *start,
            "-m",
            "pipeline_tasks.candidates.train_candidate",
        ]
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: one (UUID: a)'\necho 'GPU 1: two (UUID: b)'\n")
    tool.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ChildProcess(task_id="t", module="m", on_every_gpu=True).command_line()[6] == "--nproc-per-node=2"
    monkeypatch.setenv("PATH", "")
    assert ChildProcess(task_id="t", module="m", on_every_gpu=True).command_line()[:3] == ["python", "-m", "m"]


def test_a_command_that_the_system_killed_is_reported_as_out_of_memory() -> None:
    from airflow.sdk.exceptions import AirflowException
    from job_operators import ChildProcess

    task = ChildProcess(task_id="huge", module="tests.dags.killed_training")
    with pytest.raises(
        AirflowException, match=r"killed_training ended with exit code -9: the system killed it, .*memory"
    ):
        task.execute({})


def test_failed_command_is_named_with_its_exit_code_and_last_line() -> None:
    from airflow.sdk.exceptions import AirflowException
    from job_operators import ChildProcess

    task = ChildProcess(task_id="broken", module="pipeline_tasks.nowhere")
    with pytest.raises(AirflowException, match=r"pipeline_tasks\.nowhere ended with exit code 1: .*No module named"):
        task.execute({})


def test_options_without_a_value_are_left_out() -> None:
    from job_operators import drop_unset

    assert drop_unset(["--rules=", "--top-k=5", "--source-path="]) == ["--top-k=5"]
    given = ["--source-path=/data/part=", "--where=a=b", "own"]
    assert drop_unset(given) == given


def _execute(task: Any) -> None:  # noqa: ANN401
    from airflow.sdk.exceptions import AirflowException

    with pytest.raises(AirflowException):
        task.execute({})
