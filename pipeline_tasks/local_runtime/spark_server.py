"""Keeps one Spark alive for all jobs of this machine: a Spark Connect server, which is started again when it ends.

    python -m pipeline_tasks.local_runtime.spark_server

A job with a Spark of its own starts Java and compiles Spark's classes each time.
"""

import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pipeline_tasks.config.settings import Settings, settings
from pipeline_tasks.local_runtime.java import spark_java_options
from pipeline_tasks.local_runtime.secret_files import kept_secret

PROCESS_SETTINGS: Final[Mapping[str, str]] = {
    "spark.ui.showConsoleProgress": "false",
    # Hadoop sets the rights of its files and folders itself and ignores the umask of the process.
    "spark.hadoop.fs.permissions.umask-mode": "077",
    # Without Hadoop's native library, setting the rights of a file and of its checksum file takes two processes:
    # 7.5 ms in place of 3.6. Parquet has checksums of its own.
    "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    # Classes compiled for a query serve the next run. Of 100, the default, none is left by then.
    "spark.sql.codegen.cache.maxEntries": "2000",
}
"""Settings that Spark reads when it starts."""
_SERVER_SETTINGS: Final[Mapping[str, str]] = {
    "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
    "spark.log.level": "WARN",
    "spark.connect.grpc.binding.address": "127.0.0.1",
    # A job that the system killed leaves its query behind. Its next attempt writes to the same folder.
    "spark.connect.execute.manager.detachedTimeout": "10s",
    "spark.connect.execute.manager.maintenanceInterval": "5s",
    "spark.ui.killEnabled": "false",
    # Spark keeps the status of its last thousand jobs, stages and queries, which fills a small heap.
    "spark.ui.retainedJobs": "100",
    "spark.ui.retainedStages": "100",
    "spark.ui.retainedTasks": "5000",
    "spark.sql.ui.retainedExecutions": "50",
    "spark.sql.connect.ui.retainedSessions": "20",
    "spark.sql.connect.ui.retainedStatements": "50",
}
_TOKEN: Final = "SPARK_CONNECT_AUTHENTICATE_TOKEN"
"""Variable in which Spark expects the token. A command line can be read by every local user."""
RESTART_SECONDS: Final = 2.0
_LEAST_SECONDS: Final = 30.0
"""A server that ends sooner after its start has failed, and is not started again."""


def is_embedded(settings: Settings) -> bool:
    """Return whether `nightshelf up` starts a Spark for all jobs; otherwise each job starts one, or uses another."""
    return (
        bool(settings.server.spark_port) and settings.spark_remote is None and settings.spark_master.startswith("local")
    )


def has_ui(settings: Settings) -> bool:
    """Return whether that Spark has a UI."""
    return is_embedded(settings) and settings.server.spark_ui_port > 0


def ui_address(settings: Settings) -> str | None:
    """Return the address of the UI of the Spark that runs the jobs: `pages.spark`, or that of `nightshelf up`.

    None where jobs use another Spark. Within Airflow's tasks, `spark_remote` is set to that of `nightshelf up`.
    """
    if settings.pages.spark:
        return settings.pages.spark
    server, remote = settings.server, settings.spark_remote
    own = is_embedded(settings) or (
        remote is not None and remote.get_secret_value().startswith(f"sc://localhost:{server.spark_port}/")
    )
    return f"http://127.0.0.1:{server.spark_ui_port}" if own and server.spark_ui_port > 0 else None


def embedded_remote(settings: Settings) -> str:
    """Return the address of this machine's server with its token, which is made on first use."""
    # Spark's client takes a token without TLS only for the name `localhost`.
    return f"sc://localhost:{settings.server.spark_port}/;token={_token(settings)}"


def server_variables(settings: Settings) -> dict[str, str]:
    """Return the variables of the server's process: the token, and the address of Spark's ports."""
    return {_TOKEN: _token(settings), "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}


def server_command(settings: Settings) -> list[str]:
    """Return the command of the server."""
    ports = {
        "spark.connect.grpc.binding.port": str(settings.server.spark_port),
        "spark.ui.port": str(settings.server.spark_ui_port),
        "spark.ui.enabled": str(has_ui(settings)).lower(),
    }
    options = {**PROCESS_SETTINGS, **_SERVER_SETTINGS, **ports}
    options["spark.driver.extraJavaOptions"] = spark_java_options(settings)
    return [
        *("spark-submit", "--name", "nightshelf", "--master", settings.spark_master),
        *("--driver-memory", settings.spark_driver_memory),
        *(part for name, value in options.items() for part in ("--conf", f"{name}={value}")),
        str(Path(__file__).with_name("spark_application.py")),
    ]


def keep_running(settings: Settings) -> int:
    """Run the server, again each time that it ends, and return the exit code of one that ended while starting."""
    folder = _folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        began = time.monotonic()
        code = subprocess.run(server_command(settings), cwd=folder, check=False).returncode
        print(f"Spark ended with exit code {code}", flush=True)
        if time.monotonic() - began < _LEAST_SECONDS:
            return code or 1
        time.sleep(RESTART_SECONDS)


def _token(settings: Settings) -> str:
    return kept_secret(_folder(settings) / "token", secrets.token_urlsafe)


def _folder(settings: Settings) -> Path:
    return settings.home / "spark"


if __name__ == "__main__":
    sys.exit(keep_running(settings()))
