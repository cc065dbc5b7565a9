#!/usr/bin/env python
"""Checks whether a role of this image works: ``check_health.py ROLE`` exits with 0, or with 1 and the reason.

It asks the servers over HTTP with the standard library only (0.1 s). ``airflow jobs check`` would import all of
Airflow, which takes 5 s of processor time in every check of every container.
"""

import base64
import json
import os
import socket
import sys
import urllib.request
from typing import Any

AIRFLOW_HEALTH = "http://airflow-api:8080/api/v2/monitor/health"
# The API is called by the name that its clients use. /health returns 200 even when the API refuses that name.
MLFLOW_API = "http://mlflow:5000/api/2.0/mlflow/experiments/search?max_results=1"
SPARK_MASTER = "http://spark-master:8080/json/"
DATA_DOCS = "http://127.0.0.1:8090/"
CELERY_LOGS = ("127.0.0.1", 8793)
AIRFLOW_PARTS = {
    "airflow-api": "metadatabase",
    "airflow-scheduler": "scheduler",
    "airflow-dag-processor": "dag_processor",
    "airflow-triggerer": "triggerer",
}


def fetch(url: str, login: str = "") -> bytes:
    """Return the body of a 2xx response. Raises OSError otherwise. `login` is USER:PASSWORD."""
    headers = {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"} if login else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as response:
        body: bytes = response.read()
    return body


def find_airflow_problem(role: str) -> str | None:
    """Return the problem of a part of Airflow, from the heartbeats that its API reports; None for no problem."""
    part: dict[str, Any] = json.loads(fetch(AIRFLOW_HEALTH))[AIRFLOW_PARTS[role]]
    return None if part["status"] == "healthy" else f"{role} is not healthy: {part}"


def find_spark_worker_problem() -> str | None:
    """Return a problem where the master does not list this container among its live workers."""
    workers = json.loads(fetch(SPARK_MASTER))["workers"]
    alive = {worker["host"] for worker in workers if worker["state"] == "ALIVE"}
    host = socket.gethostname()
    return None if host in alive else f"{host} is not among the master's live workers {sorted(alive)}"


def find_celery_worker_problem() -> str | None:
    """Return None. Raises OSError where the worker's log server is closed; other checks would depend on the broker."""
    socket.create_connection(CELERY_LOGS, timeout=5).close()
    return None


def find_problem(role: str) -> str | None:
    """Return the problem of the role, None where it works. Raises OSError where a server does not respond."""
    if role in AIRFLOW_PARTS:
        return find_airflow_problem(role)
    if role == "spark-worker":
        return find_spark_worker_problem()
    if role == "airflow-worker":
        return find_celery_worker_problem()
    if role == "mlflow":
        fetch(MLFLOW_API, f"{os.environ['MLFLOW_AUTH_ADMIN_USERNAME']}:{os.environ['MLFLOW_AUTH_ADMIN_PASSWORD']}")
        return None
    fetch({"spark-master": SPARK_MASTER, "data-docs": DATA_DOCS}[role])
    return None


def main(role: str) -> None:
    """Exit 0, or 1 with the reason on stderr."""
    try:
        problem = find_problem(role)
    except OSError as error:
        problem = f"{role} does not respond: {error}"
    sys.exit(problem)


if __name__ == "__main__":
    main(sys.argv[1])
