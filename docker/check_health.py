#!/usr/bin/env python
"""Tell whether a role of this image really does its work: ``check_health.py ROLE`` exits 0, or 1 with the reason.

Asked of the servers over HTTP with the standard library alone (0.1 s): ``airflow jobs check`` imports all of Airflow,
5 s of processor time at every check of every container.
"""

import base64
import json
import os
import socket
import sys
import urllib.request
from typing import Any

AIRFLOW_HEALTH = "http://airflow-api:8080/api/v2/monitor/health"
# /health answers 200 even when the API refuses the caller's Host header: ask the API, by the name its clients use.
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
    """Return the body of a 2xx answer; raises OSError otherwise. `login` is USER:PASSWORD."""
    headers = {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"} if login else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as answer:
        body: bytes = answer.read()
    return body


def airflow_complaint(role: str) -> str | None:
    """Return what is wrong with a part of Airflow by the heartbeats that its API reports."""
    part: dict[str, Any] = json.loads(fetch(AIRFLOW_HEALTH))[AIRFLOW_PARTS[role]]
    return None if part["status"] == "healthy" else f"{role} is not healthy: {part}"


def spark_worker_complaint() -> str | None:
    """Return what is wrong when the master does not count this container among its live workers."""
    workers = json.loads(fetch(SPARK_MASTER))["workers"]
    alive = {worker["host"] for worker in workers if worker["state"] == "ALIVE"}
    host = socket.gethostname()
    return None if host in alive else f"{host} is not among the master's live workers {sorted(alive)}"


def celery_worker_complaint() -> str | None:
    """Return what is wrong when the worker's log server is closed: brokers differ in what else they can be asked."""
    socket.create_connection(CELERY_LOGS, timeout=5).close()
    return None


def complaint(role: str) -> str | None:
    """Return what is wrong with the role, None when nothing is."""
    if role in AIRFLOW_PARTS:
        return airflow_complaint(role)
    if role == "spark-worker":
        return spark_worker_complaint()
    if role == "airflow-worker":
        return celery_worker_complaint()
    if role == "mlflow":
        fetch(MLFLOW_API, f"{os.environ['MLFLOW_AUTH_ADMIN_USERNAME']}:{os.environ['MLFLOW_AUTH_ADMIN_PASSWORD']}")
        return None
    fetch({"spark-master": SPARK_MASTER, "data-docs": DATA_DOCS}[role])
    return None


def main(role: str) -> None:
    """Exit 0, or 1 with the reason on stderr."""
    try:
        problem = complaint(role)
    except OSError as error:
        problem = f"{role} does not answer: {error}"
    sys.exit(problem)


if __name__ == "__main__":
    main(sys.argv[1])
