"""The Spark session of every job: UTC, ANSI, dynamic overwrite, timestamps that Iceberg can read."""

import os
import sys
import threading
import time
from typing import Final

from py4j.protocol import Py4JError
from pyspark import StatusTracker
from pyspark.sql import SparkSession

from pipeline_tasks import progress_log
from pipeline_tasks.config.settings import is_submitted, settings
from pipeline_tasks.local_runtime.java import java_home, spark_java_options
from pipeline_tasks.local_runtime.spark_server import PROCESS_SETTINGS
from pipeline_tasks.spark_place import cores, is_connect, is_local

OF_A_SESSION: Final = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    # One record with a key twice (str_to_map of "a=1&a=2") would end the job.
    "spark.sql.mapKeyDedupPolicy": "LAST_WIN",
    # Static, the default, would let one day's overwrite wipe the others.
    "spark.sql.sources.partitionOverwriteMode": "dynamic",
    # INT96, the default, is refused by Iceberg readers.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # A task keeps one file per day open. Otherwise Spark sorts all rows by day to open one at a time.
    "spark.sql.maxConcurrentOutputFileWriters": "64",
    # Otherwise cached rows have as many tasks as a cluster's shuffle has partitions: 800 for 2,563 events. Cleaning
    # them on a cluster of two cores took 78 to 100 s in place of 68 to 71.
    "spark.sql.optimizer.canChangeCachedPlanOutputPartitioning": "true",
    # Above 32 files, the default, Spark lists them in a job with a task per file, which takes a second.
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "2000",
}
"""Settings of a job's session."""


def open_session(name: str) -> SparkSession:
    """Return a new session of the Spark Connect server `settings.spark_remote`, else that of a Spark of this process.

    The master of that Spark is the one of spark-submit, otherwise `settings.spark_master`.

    Raises:
        ConnectionError: the server cannot be reached.
    """
    remote = settings().spark_remote
    session = _connect(remote.get_secret_value()) if remote else _start(name)
    if is_local(session):
        # 200, the default for a cluster, made 370 tasks for a run of 100,000 events.
        tasks = str(4 * cores(session))
        session.conf.set("spark.sql.shuffle.partitions", tasks)
        # Otherwise a scan has one task more than there are cores, and the last task runs alone.
        session.conf.set("spark.sql.files.minPartitionNum", tasks)
    if not is_connect(session):
        start_progress_log(session)
    return session


def _connect(remote: str) -> SparkSession:
    # Imported here, because a Spark of this process needs no gRPC.
    from spark_jobs.common.connect_session import connect

    return connect(remote, OF_A_SESSION)


def _start(name: str) -> SparkSession:
    # Executors must run the interpreter of this one environment, not the first python3 on PATH.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ["JAVA_HOME"] = str(java_home(settings()))
    builder = SparkSession.builder.appName(name)
    if not is_submitted():
        if settings().spark_master.startswith("local"):
            # Local Spark opens ports for its own processes alone.
            os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        builder = (
            builder.master(settings().spark_master)
            .config("spark.driver.memory", settings().spark_driver_memory)
            .config("spark.driver.extraJavaOptions", spark_java_options(settings()))
        )
    for setting, value in {**OF_A_SESSION, **PROCESS_SETTINGS}.items():
        builder = builder.config(setting, value)
    return builder.getOrCreate()


def start_progress_log(spark: SparkSession) -> None:
    """Start a thread that prints `running_stages` every `progress_log.LINE_INTERVAL` seconds until Spark ends."""
    tracker = spark.sparkContext.statusTracker()
    threading.Thread(target=_print_progress, args=(tracker,), name="progress", daemon=True).start()


def running_stages(tracker: StatusTracker) -> str:
    """Return ``stage 12, 34 of 70 tasks; stage 13, …``, empty where no stage runs."""
    stages = [tracker.getStageInfo(stage) for stage in sorted(tracker.getActiveStageIds())]
    return "; ".join(
        f"stage {stage.stageId}, {stage.numCompletedTasks:,} of {stage.numTasks:,} tasks" for stage in stages if stage
    )


def _print_progress(tracker: StatusTracker) -> None:
    while True:
        time.sleep(progress_log.LINE_INTERVAL)
        try:
            running = running_stages(tracker)
        except (Py4JError, ConnectionError):
            # The job is over, and its Java process has ended.
            return
        if running:
            print(f"Spark: {running}", flush=True)
