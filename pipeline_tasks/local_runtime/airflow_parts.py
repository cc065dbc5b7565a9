"""Runs the four parts of Airflow on one machine until one of them ends.

python -m pipeline_tasks.local_runtime.airflow_parts

It replaces `airflow standalone`, because the scheduler and the triggerer there each start a server of task logs.
Airflow 3.3 binds these servers to all addresses and has no setting for it. On one machine the API reads the logs from
disk.
"""

import signal
import subprocess
import sys
import time
from typing import Final

PARTS: Final = (
    ("scheduler", "--skip-serve-logs"),
    ("dag-processor",),
    ("api-server",),
    ("triggerer", "--skip-serve-logs"),
)
GRACE_SECONDS: Final = 15


def run_parts() -> str:
    """Migrate the database, start all parts, and return which one ended first; the others are ended too."""
    subprocess.run(["airflow", "db", "migrate"], check=True)
    running = {part[0]: subprocess.Popen(["airflow", *part]) for part in PARTS}
    try:
        while True:
            for name, process in running.items():
                if process.poll() is not None:
                    return f"airflow {name} ended with exit code {process.returncode}"
            time.sleep(0.5)
    finally:
        _end(list(running.values()))


def _end(processes: list["subprocess.Popen[bytes]"]) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for process in processes:
        try:
            process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sys.exit(run_parts())
