"""Builds the image and brings the compose file up: every role must do its work, not merely run.

pytest -m docker
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.docker.compose_project import ComposeProject, engine_answers, running_project

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(not engine_answers(), reason="no Docker engine with Compose v2 answers: start one first"),
]
JOB = Path(__file__).with_name("count_on_cluster.py")


@pytest.fixture(scope="module")
def project() -> Iterator[ComposeProject]:
    """All services, healthy: about two minutes on two cores once the image's environment is built."""
    with running_project("nightshelf-test") as running:
        yield running


def ask_airflow(project: ComposeProject, path: str) -> Any:  # noqa: ANN401
    base = f"http://127.0.0.1:{project.ports['AIRFLOW_PORT']}"
    logged_in = httpx.post(f"{base}/auth/token", json={"username": "admin", "password": "admin"}, timeout=30)
    token = logged_in.raise_for_status().json()["access_token"]
    answer = httpx.get(f"{base}/api/v2{path}", headers={"Authorization": f"Bearer {token}"}, timeout=30)
    return answer.raise_for_status().json()


def test_airflow_reads_the_three_dags_and_has_their_pools(project: ComposeProject) -> None:
    assert ask_airflow(project, "/importErrors")["import_errors"] == []
    dags = {dag["dag_id"] for dag in ask_airflow(project, "/dags")["dags"]}
    assert {"prepare_behavior", "fine_tune_recommender", "nightly_recommendations"} <= dags
    pools = {pool["name"] for pool in ask_airflow(project, "/pools")["pools"]}
    assert {"gpu", "spark"} <= pools


def test_mlflow_serves_tasks_by_its_name(project: ComposeProject) -> None:
    program = (
        "import mlflow; from pipeline_tasks.settings import settings; "
        "mlflow.set_tracking_uri(settings().tracking_uri); mlflow.set_experiment('from-a-task'); "
        "run = mlflow.start_run(); mlflow.log_text('kept', 'note.txt'); "
        "print(mlflow.artifacts.load_text(run.info.artifact_uri + '/note.txt'))"
    )
    assert "kept" in project.run("exec", "-T", "airflow-scheduler", "python", "-c", program).splitlines()


def test_a_job_runs_on_the_cluster(project: ComposeProject) -> None:
    command = ("exec", "-T", "airflow-scheduler", "bash", "-c", "cat > /tmp/job.py && spark-submit --master")
    said = project.run(*command[:-1], f"{command[-1]} $AIRFLOW_CONN_SPARK_DEFAULT /tmp/job.py", given=JOB.read_text())
    found = json.loads(re.findall(r"^found (.*)$", said, flags=re.MULTILINE)[0])
    assert found["master"] == "spark://spark-master:7077"
    assert found["rows"] == 1_000
    assert {home for _, home in found["executors"]} == {"/var/lib/nightshelf"}
    assert found["driver"] not in {host for host, _ in found["executors"]}


def test_nobody_runs_as_root(project: ComposeProject) -> None:
    assert project.run("exec", "-T", "airflow-scheduler", "id", "-u").strip() == "1000"
