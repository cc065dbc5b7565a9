"""The cluster of docker/ accepts jobs only with its secret. No Docker engine is needed here."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline_tasks.config.settings import REPOSITORY, settings
from tests.spark_jobs.spark_cluster import SparkCluster, running_cluster, submit

pytestmark = pytest.mark.spark

JOB = REPOSITORY / "tests" / "docker" / "count_on_cluster.py"
REFUSED = "Failed to connect to master"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SparkCluster]:
    monkeypatch.setenv("NIGHTSHELF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SPARK_CONF_DIR", str(REPOSITORY / "docker"))
    monkeypatch.setenv("_SPARK_AUTH_SECRET", "known to the cluster")
    settings.cache_clear()
    with running_cluster(tmp_path) as running:
        yield running
    settings.cache_clear()


def test_a_job_without_the_secret_is_rejected(
    cluster: SparkCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert '"rows": 1000' in run(cluster, tmp_path / "known.log")
    assert [path for path in (tmp_path / "home").rglob("*") if path.stat().st_mode & 0o077] == []
    monkeypatch.setenv("_SPARK_AUTH_SECRET", "guessed")
    assert REFUSED in run(cluster, tmp_path / "guessed.log")
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path / "no such folder"))
    assert REFUSED in run(cluster, tmp_path / "unauthenticated.log")
    master = (tmp_path / "master.log").read_text()
    assert len(re.findall("Registered app count_on_cluster", master)) == 1
    assert "known to the cluster" not in master
    assert "REST server" not in master, "Spark's second way to submit jobs requires no secret"


def run(cluster: SparkCluster, log: Path) -> str:
    """Run the job on the cluster until it ends or is rejected once, and return its output."""
    job = submit(cluster, log, str(JOB))
    until = time.monotonic() + 240
    while time.monotonic() < until and job.poll() is None and REFUSED not in log.read_text(errors="replace"):
        time.sleep(0.2)
    job.kill()
    job.wait()
    return log.read_text(errors="replace")
