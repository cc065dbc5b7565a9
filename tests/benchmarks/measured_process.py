"""A process run to its end, with its wall time, processor time and the most memory of it and its children."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from tests.benchmarks.side_by_side import REPOSITORY


@dataclass(frozen=True)
class Measured:
    """What a process took."""

    seconds: float
    processor_seconds: float
    """Of the process and its children, read every 0.2 s: Spark's Java is a child that is never waited for."""
    peak_bytes: int
    """Resident, of it and its children together, seen every 0.2 s."""


def run_measured(module: str, *arguments: str, environment: Mapping[str, str]) -> Measured:
    """Run ``python -m module arguments``.

    Raises:
        RuntimeError: it failed; with its last words.
    """
    own = os.environ | {"PYTHONPATH": str(REPOSITORY)} | dict(environment)
    started = time.perf_counter()
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, cwd=REPOSITORY, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    watch = _Watch(process.pid)
    watch.start()
    output = process.communicate()[0]
    seconds = time.perf_counter() - started
    watch.join()
    if process.returncode != 0:
        raise RuntimeError(f"{module} {' '.join(arguments)} ended with {process.returncode}: {output.decode()[-3000:]}")
    return Measured(seconds, sum(watch.processor.values()), watch.most)


class _Watch(threading.Thread):
    """Keeps the most memory of a process and its children, and the processor time of each by its id."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.most = pid, 0
        self.processor: dict[int, float] = {}

    def run(self) -> None:
        try:
            family = psutil.Process(self.pid)
            while family.is_running() and family.status() != psutil.STATUS_ZOMBIE:
                members = [family, *family.children(recursive=True)]
                self.most = max(self.most, sum(map(_resident, members)))
                for member in members:
                    self.processor[member.pid] = max(_processor(member), self.processor.get(member.pid, 0.0))
                time.sleep(0.2)
        except psutil.NoSuchProcess:
            return


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _processor(process: psutil.Process) -> float:
    try:
        taken = process.cpu_times()
        return float(taken.user + taken.system)
    except psutil.NoSuchProcess:
        return 0.0
