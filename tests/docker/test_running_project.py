"""Builds the image and starts the compose file: every role must do its work, not only run.

pytest -m docker
"""

import errno
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.docker.compose_project import SECRETS_OF_ROLE, ComposeProject, engine_answers, running_project

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(not engine_answers(), reason="no Docker engine with Compose v2 answers: start one first"),
]
JOB = Path(__file__).with_name("count_on_cluster.py")
DAY = "2026-11-20"


@pytest.fixture(scope="module")
def project() -> Iterator[ComposeProject]:
    """All services, healthy; this takes about two minutes on two cores after the image is built."""
    with running_project("nightshelf-test") as running:
        yield running


def ask_airflow(project: ComposeProject, path: str) -> Any:  # noqa: ANN401
    base = f"http://127.0.0.1:{project.ports['AIRFLOW_PORT']}"
    login = {"username": "admin", "password": project.secrets["AIRFLOW_ADMIN_PASSWORD"]}
    logged_in = httpx.post(f"{base}/auth/token", json=login, timeout=30)
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
        "import mlflow; from pipeline_tasks.config.settings import settings; "
        "mlflow.set_tracking_uri(settings().tracking_uri); mlflow.set_experiment('from-a-task'); "
        "run = mlflow.start_run(); mlflow.log_text('kept', 'note.txt'); "
        "print(mlflow.artifacts.load_text(run.info.artifact_uri + '/note.txt'))"
    )
    assert "kept" in project.run("exec", "-T", "airflow-scheduler", "python", "-c", program).splitlines()


def test_mlflow_requires_a_login(project: ComposeProject) -> None:
    api = f"http://127.0.0.1:{project.ports['MLFLOW_PORT']}/api/2.0/mlflow/experiments/search?max_results=1"
    assert httpx.get(api, timeout=30).status_code == httpx.codes.UNAUTHORIZED
    assert httpx.get(api, auth=("admin", project.secrets["MLFLOW_ADMIN_PASSWORD"]), timeout=30).is_success


@pytest.mark.parametrize("role", sorted(SECRETS_OF_ROLE.keys() - {"initialize", "airflow-worker"}))
def test_a_container_has_only_the_secrets_of_its_role(project: ComposeProject, role: str) -> None:
    """Only services that run: `initialize` has ended, and the profile of `airflow-worker` is off."""
    environment = project.run("exec", "-T", role, "env")
    assert {name for name, value in project.secrets.items() if value in environment} == SECRETS_OF_ROLE[role]


def test_the_cluster_takes_no_job_without_the_secret(project: ComposeProject) -> None:
    before = applications(project)
    output = submit(project, "_SPARK_AUTH_SECRET=guessed", seconds=200)
    assert "Failed to connect to master spark-master:7077" in output
    assert re.search(r"^found", output, flags=re.MULTILINE) is None
    assert applications(project) == before


def test_the_cluster_takes_no_job_by_http(project: ComposeProject) -> None:
    program = "import socket; print(socket.socket().connect_ex(('spark-master', 6066)))"
    assert project.run("exec", "-T", "data-docs", "python", "-c", program).strip() == str(errno.ECONNREFUSED)


def test_a_job_runs_on_the_cluster(project: ComposeProject) -> None:
    output = submit(project)
    found = json.loads(re.findall(r"^found (.*)$", output, flags=re.MULTILINE)[0])
    assert found["master"] == "spark://spark-master:7077"
    assert found["rows"] == 1_000
    assert {home for _, home in found["executors"]} == {"/var/lib/nightshelf"}
    assert found["driver"] not in {host for host, _ in found["executors"]}


def submit(project: ComposeProject, variable: str = "", seconds: int = 600) -> str:
    """Run the job beside the tasks, with another variable if one is given, and return its output."""
    job = (
        f"cat > /tmp/job.py; {variable} timeout {seconds} spark-submit --master $AIRFLOW_CONN_SPARK_DEFAULT /tmp/job.py"
    )
    shell = ("exec", "-T", "airflow-scheduler", "bash", "-c", f"{job} 2>&1 || true")
    return project.run(*shell, given=JOB.read_text(), seconds=seconds + 60)


def ask_spark(project: ComposeProject) -> Any:  # noqa: ANN401
    master = f"http://127.0.0.1:{project.ports['SPARK_PORT']}/json/"
    return httpx.get(master, timeout=30).raise_for_status().json()


def applications(project: ComposeProject) -> set[str]:
    """Return the ids of all jobs that the cluster has taken."""
    master = ask_spark(project)
    return {app["id"] for app in (*master["activeapps"], *master["completedapps"])}


def test_no_process_runs_as_root(project: ComposeProject) -> None:
    assert project.run("exec", "-T", "airflow-scheduler", "id", "-u").strip() == "1000"


def test_a_run_on_the_cluster_fills_the_recommendations(project: ComposeProject) -> None:
    """The commands of docs/guides/operations.md, from the shop's files to recommendations, with all gates."""
    nightshelf = ("exec", "-T", "airflow-api", "nightshelf")
    # The shop is so small that it would train the frozen encoder alone.
    output = project.run(*nightshelf, "run", "--date", DAY, "--set", "candidates=lora", seconds=1_800)
    for task in ("land_behavior", "publish_split", "train_candidate [lora]", "promote_champion", "publish_recommend"):
        assert task in output
    query = "SELECT user_key, count(*) AS items FROM recommendations GROUP BY user_key"
    lists = json.loads(project.run(*nightshelf, "sql", query, "--format", "json"))
    assert len(lists) > 100
    assert {row["items"] for row in lists} == {5}
    finished = {app["name"] for app in ask_spark(project)["completedapps"] if app["state"] == "FINISHED"}
    assert {f"{job} simulated_shop {DAY}" for job in ("clean", "split", "recommend")} <= finished
    home = ("exec", "-T", "airflow-scheduler", "find", "/var/lib/nightshelf", "-perm", "/077", "!", "-type", "l")
    assert project.run(*home) == "", "what others may read"
