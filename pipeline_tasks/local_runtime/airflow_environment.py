"""Airflow's configuration on one machine, as environment variables.

Larger installations set the same variables in other ways (docker/compose.yaml); the DAGs do not change.
"""

import json
import secrets
import sys
from pathlib import Path

from pipeline_tasks.config.settings import PROJECT_FILES, Settings
from pipeline_tasks.local_runtime.secret_files import kept_secret
from pipeline_tasks.local_runtime.spark_server import embedded_remote, is_embedded

ADMIN = "admin"
"""The one user of the embedded Airflow."""

PRELOADED = (
    "airflow.dag_processing.dagbag",
    "airflow.executors.local_executor",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.providers.apache.spark.operators.spark_submit",
    "airflow.providers.standard.decorators.branch_python",
    "airflow.providers.standard.operators.hitl",
    "airflow.providers.standard.operators.python",
    "mlflow",
    "pandas",
    "pyarrow.parquet",
    "pydantic_settings",
    "pyiceberg.catalog.sql",
)
"""Modules that Airflow, the DAG files and light tasks import at the start of a task. Preloading takes 14 s of processor
time once and leaves .07 s per task, .03 of it for reading the DAG file. None of our own modules is preloaded, so that
the next task sees a change in pipeline_tasks/."""


def airflow_home(settings: Settings) -> Path:
    """Return the folder of Airflow's database, keys and task logs."""
    return settings.home / "airflow"


def airflow_environment(settings: Settings) -> dict[str, str]:
    """Return the environment variables of every Airflow process on this machine."""
    return {
        "AIRFLOW_HOME": str(airflow_home(settings)),
        "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps({"conn_type": "spark", "host": settings.spark_master}),
        "PYSPARK_PYTHON": sys.executable,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Local Spark opens ports, which must be reachable from this machine alone.
        **({"SPARK_LOCAL_IP": "127.0.0.1"} if settings.spark_master.startswith("local") else {}),
        **({"NIGHTSHELF_SPARK_REMOTE": embedded_remote(settings)} if is_embedded(settings) else {}),
        **_named(_core(settings) | _pace() | _addresses(settings)),
    }


def _named(options: dict[tuple[str, str], str]) -> dict[str, str]:
    return {f"AIRFLOW__{section}__{option}".upper(): value for (section, option), value in options.items()}


def _core(settings: Settings) -> dict[tuple[str, str], str]:
    home = airflow_home(settings)
    return {
        ("core", "dags_folder"): str(PROJECT_FILES / "dags"),
        ("core", "load_examples"): "False",
        ("core", "executor"): "LocalExecutor",
        # The default of 32 starts 32 workers of 150 MiB; two let a training and a Spark job run side by side.
        ("core", "parallelism"): "2",
        ("core", "simple_auth_manager_passwords_file"): str(password_file(settings)),
        ("database", "sql_alchemy_conn"): f"sqlite:///{home.resolve() / 'airflow.db'}",
        # A changed secret would log all users out and fail running tasks, so both are kept.
        ("api_auth", "jwt_secret"): kept_secret(home / "jwt_secret", secrets.token_urlsafe),
        ("api", "secret_key"): kept_secret(home / "secret_key", secrets.token_urlsafe),
        ("usage_data_collection", "enabled"): "False",
        # By default, every local user can read the logs of tasks, whatever the umask.
        ("logging", "file_task_handler_new_folder_permissions"): "0o700",
        ("logging", "file_task_handler_new_file_permissions"): "0o600",
    }


def _pace() -> dict[tuple[str, str], str]:
    return {
        # Each task is forked from a worker and inherits its imports. The Spark provider alone imports two Kubernetes
        # clients, which would take 4 s of processor time per task.
        ("scheduler", "mp_start_method"): "forkserver",
        ("scheduler", "mp_forkserver_preload"): ",".join(PRELOADED),
        # A changed DAG file is seen after this many seconds; the default of 300 is too long while one is written.
        ("dag_processor", "refresh_interval"): "10",
        # A changed file is read at once; reading an unchanged one costs 3 s of processor time.
        ("dag_processor", "min_file_process_interval"): "600",
        ("core", "dagbag_import_timeout"): "120",
        ("dag_processor", "dag_file_processor_timeout"): "180",
        ("dag_processor", "parsing_processes"): "1",
        # While a Spark job and a training share two cores, the API may be slow to answer a task's heartbeat.
        ("workers", "execution_api_timeout"): "30",
        ("scheduler", "task_instance_heartbeat_timeout"): "600",
        ("api", "workers"): "1",
    }


def _addresses(settings: Settings) -> dict[tuple[str, str], str]:
    port = settings.server.airflow_port
    return {
        ("api", "host"): "127.0.0.1",
        ("api", "port"): str(port),
        ("api", "base_url"): f"http://127.0.0.1:{port}",
        # Without this, every task fails while queued if the API has another port.
        ("core", "execution_api_server_url"): f"http://127.0.0.1:{port}/execution/",
    }


def password_file(settings: Settings) -> Path:
    """Return the file that holds the admin's password."""
    return airflow_home(settings) / "passwords.json"


def admin_password(settings: Settings) -> str:
    """Return the admin's password, made on first use and kept."""
    kept = kept_secret(password_file(settings), lambda: json.dumps({ADMIN: secrets.token_urlsafe(12)}))
    password: str = json.loads(kept)[ADMIN]
    return password
