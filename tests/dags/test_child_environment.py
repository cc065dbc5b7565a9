"""The environment of the processes that tasks start."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline_tasks.config.settings import child_environment, settings
from tests.dags import print_environment

pytestmark = pytest.mark.slow

WITHHELD = {
    "AIRFLOW__API_AUTH__JWT_SECRET": "hidden",
    "AIRFLOW__API__SECRET_KEY": "hidden",
    "AIRFLOW__CORE__FERNET_KEY": "hidden",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////hidden.db",
    "AIRFLOW__CELERY__BROKER_URL": "redis://:hidden@broker",
    "AIRFLOW__SOME_SECTION__A_LATER_OPTION": "hidden",
    "AIRFLOW_CONN_SHOP": "postgresql://u:hidden@h/d",
    "AIRFLOW_VAR_TOKEN": "hidden",
    "AIRFLOW_ADMIN_PASSWORD": "hidden",
    "_AIRFLOW_WWW_USER_PASSWORD": "hidden",
    "MLFLOW_AUTH_ADMIN_PASSWORD": "hidden",
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "hidden",
    "MLFLOW_BACKEND_STORE_URI": "postgresql://u:hidden@h/d",
    "NIGHTSHELF_POSTGRES_SINK": "postgresql://u:hidden@h/d",
}
NEEDED = {
    "NIGHTSHELF_LAKE_CATALOG_URI": "sqlite:////lake.db",
    "AWS_ACCESS_KEY_ID": "store",
    "HADOOP_CONF_DIR": "/etc/h",
}
MLFLOW = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "lovelace"}


@pytest.fixture
def task_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment of a task as in containers, where Airflow's secrets are variables."""
    for name, value in (WITHHELD | NEEDED | MLFLOW).items():
        monkeypatch.setenv(name, value)
    yield
    # Cached settings would give the DAGs of the next test a Postgres sink.
    settings.cache_clear()


@pytest.mark.usefixtures("task_environment")
def test_a_training_has_mlflows_login_and_none_of_airflows_secrets(tmp_path: Path) -> None:
    from job_operators import ChildProcess

    file = tmp_path / "environment.json"
    ChildProcess(task_id="train", module="tests.dags.print_environment", options=[f"--to={file}"]).execute({})
    found = json.loads(file.read_text())
    assert found.items() >= (NEEDED | MLFLOW).items()
    assert "hidden" not in str(found)


@pytest.mark.usefixtures("task_environment")
def test_a_spark_job_has_neither_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from job_operators import SparkJob

    # A spark-submit without Spark. Its environment is the one that Java and Python would have.
    submit = tmp_path / "spark-submit"
    submit.write_text(f'#!/bin/sh\nexec {sys.executable} {print_environment.__file__} "--to=$OUT"\n')
    submit.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{Path(shutil.which('sh') or '/bin/sh').parent}")
    monkeypatch.setenv("OUT", str(tmp_path / "environment.json"))
    task: Any = SparkJob(task_id="clean", job="clean_behavior.py", run_arguments=())
    task.execute({"ti": None})
    found = json.loads((tmp_path / "environment.json").read_text())
    assert found.items() >= NEEDED.items()
    assert found.keys().isdisjoint(MLFLOW)
    assert "hidden" not in str(found)


@pytest.mark.usefixtures("task_environment")
def test_a_client_of_a_running_spark_has_neither_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from job_operators import SparkJob

    remote = "sc://localhost:15002/;token=own"
    monkeypatch.setenv("NIGHTSHELF_SPARK_REMOTE", remote)
    settings.cache_clear()
    file = tmp_path / "environment.json"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {print_environment.__file__} "--to={file}"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    task: Any = SparkJob(task_id="clean", job="clean_behavior.py", run_arguments=("--source=s", "--rules="))
    assert task.command_line() == ["python", "-m", "spark_jobs.clean_behavior", "--source=s"]
    task.execute({})
    found = json.loads(file.read_text())
    assert found.items() >= (NEEDED | {"NIGHTSHELF_SPARK_REMOTE": remote}).items()
    assert found.keys().isdisjoint(MLFLOW)
    assert "hidden" not in str(found)


def test_servers_do_not_get_the_lake() -> None:
    from pipeline_tasks.local_runtime.servers import SERVERS_WITHOUT

    found = child_environment(WITHHELD | NEEDED | MLFLOW, SERVERS_WITHOUT)
    assert set(found) == {"AWS_ACCESS_KEY_ID", "HADOOP_CONF_DIR"}
