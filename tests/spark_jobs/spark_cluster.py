"""A standalone Spark cluster on loopback: a master and two workers, each in its own process."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import pyspark

from pipeline_tasks.config.settings import REPOSITORY, settings
from pipeline_tasks.local_runtime.java import java_home, spark_java_options

_STARTS_WITHIN: Final = 180
"""Seconds; 5 on a calm machine."""
_SPARK: Final = Path(str(pyspark.__file__)).parent


@dataclass(frozen=True)
class SparkCluster:
    """The address of the master, and the processes of the workers."""

    master: str
    workers: list[subprocess.Popen[bytes]]


@contextmanager
def running_cluster(folder: Path, worker_options: tuple[str, ...] = ()) -> Iterator[SparkCluster]:
    """Start the cluster with its logs and work in `folder`; at the end, stop its processes."""
    started: list[subprocess.Popen[bytes]] = []
    address = f"spark://127.0.0.1:{_free_port()}"
    try:
        started.append(_start(folder, "master", "--port", address.rpartition(":")[2]))
        _wait_for(folder / "master.log", r"I have been elected leader")
        for number in (1, 2):
            name = f"worker{number}"
            work = ("--cores", "1", "--memory", "1g", "--work-dir", str(folder / name), *worker_options, address)
            started.append(_start(folder, name, *work))
        for number in (1, 2):
            _wait_for(folder / f"worker{number}.log", r"Successfully registered with master")
        yield SparkCluster(address, started[1:])
    finally:
        family = [child for one in started if one.poll() is None for child in psutil.Process(one.pid).children(True)]
        for one in started:
            one.kill()
            one.wait()
        for child in family:
            if child.is_running():
                child.kill()


def submit(cluster: SparkCluster, log: Path, *command: str) -> subprocess.Popen[bytes]:
    """Start a job on the cluster, as Airflow's SparkSubmitOperator does; its output goes to `log`."""
    options = ["--executor-memory", "512m", "--driver-memory", "700m"]
    options += ["--driver-java-options", spark_java_options(settings())]
    configuration = {
        "spark.executor.extraJavaOptions": spark_java_options(settings()),
        # The default for a cluster, 200, makes only tasks of a small run.
        "spark.sql.shuffle.partitions": "4",
        "spark.ui.enabled": "false",
    }
    for name, value in configuration.items():
        options += ["--conf", f"{name}={value}"]
    full = [str(_SPARK / "bin" / "spark-submit"), "--master", cluster.master, *options, *command]
    with log.open("wb") as said:
        return subprocess.Popen(full, env=_environment(), stdout=said, stderr=said)


def _start(folder: Path, name: str, *options: str) -> subprocess.Popen[bytes]:
    role = "master.Master" if name == "master" else "worker.Worker"
    command = [str(_SPARK / "bin" / "spark-class"), f"org.apache.spark.deploy.{role}", "--host", "127.0.0.1"]
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen([*command, "--webui-port", "0", *options], env=_environment(), stdout=log, stderr=log)


def _environment() -> dict[str, str]:
    """Return the environment that all processes of the cluster share with the driver."""
    own = {
        "JAVA_HOME": str(java_home(settings())),
        "NIGHTSHELF_HOME": str(settings().home),
        "OMP_NUM_THREADS": "1",
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(REPOSITORY),
        "SPARK_DAEMON_JAVA_OPTS": settings().spark_driver_java_options,
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_HOME": str(_SPARK),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    return os.environ | own


def _wait_for(log: Path, pattern: str) -> None:
    until = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < until:
        if re.search(pattern, log.read_text(errors="replace")):
            return
        time.sleep(0.1)
    raise TimeoutError(f"{log} has no {pattern!r} within {_STARTS_WITHIN} s: {log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
